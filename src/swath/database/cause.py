"""Why an execution failed, in one line that a person can read.

Step Functions passes on what the failing service said: a Lambda function's exception as JSON, a
Batch job as a description of the whole job, other services' messages as they are.
"""

from __future__ import annotations

import json
from typing import Any

LONGEST = 2000


def readable_cause(cause: str | None) -> str:
    """The cause of an execution's failure without what its service wrapped around it.

    Args:
        cause: what Step Functions gives; None or empty where an execution was stopped or timed out.
    """
    parsed = _parse(cause or "")
    text = _of_lambda(parsed) or _of_batch(parsed) or cause or "no cause was given"
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def _of_lambda(cause: dict[str, Any]) -> str:
    """The message of the exception that ended a Lambda function; without one, its type."""
    return str(cause.get("errormessage") or cause.get("errortype") or "")


def _of_batch(cause: dict[str, Any]) -> str:
    """What Batch says about a job: its reason, its container's, the exit code and the log."""
    if "jobid" not in cause and "statusreason" not in cause:
        return ""
    container = cause.get("container") or {}
    exit_code, log = container.get("exitcode"), container.get("logstreamname")
    parts = [
        cause.get("statusreason"),
        container.get("reason"),
        f"exit code {exit_code}" if exit_code is not None else None,
        f"log stream {log}" if log else None,
    ]
    said = "; ".join(str(part) for part in parts if part) or "failed without a reason"
    return f"Batch job {cause.get('jobname') or cause.get('jobid') or ''}: {said}"


def _parse(text: str) -> dict[str, Any]:
    """The JSON object in `text`, empty where there is none.

    Its keys are in lower case, since services differ in how they write them.
    """
    try:
        return _lower(json.loads(text)) if text.lstrip().startswith("{") else {}
    except json.JSONDecodeError:
        return {}


def _lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.lower(): _lower(item) for key, item in value.items()}
    return value
