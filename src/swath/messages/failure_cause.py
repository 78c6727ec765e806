"""Turn the cause of a failed execution into one readable line.

Step Functions passes on the message of the failing service. That is JSON with the exception of a
Lambda function or with the description of a Batch job; other services' messages are unchanged.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

MAX_CAUSE_CHARACTERS = 2000
"""Maximum length of a readable cause in characters."""

# Causes of executions that were stopped or timed out: Step Functions gives none for these.
_CAUSES_BY_STATUS = {
    "TIMED_OUT": "the run exceeded its timeout",
    "ABORTED": "the run was stopped by hand",
}
# Prefix that Lambda adds to messages; the function's log has the same request id.
_REQUEST_ID_PREFIX = re.compile(r"^RequestId: [0-9a-f-]+ (Error: )?")
# https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
_CRASHES = (
    (
        re.compile(r"signal: (killed|9)\b|Runtime\.OutOfMemory"),
        "the function was killed, most likely because it ran out of memory",
    ),
    (re.compile(r"^Runtime exited"), "the function's process crashed"),
    (re.compile(r"Task timed out after [\d.]+ seconds$"), "the function exceeded its timeout"),
    (re.compile(r"No space left on device"), "the function's disk is full"),
)
# Marker in the cause of a response without an error type, which older runtimes return. The
# response follows the marker.
_RESPONSE_MARKER = "Returned payload:"


def format_cause(cause: str | None, *, status: str = "") -> str:
    """Return the cause of a failed execution in one line, cut to `MAX_CAUSE_CHARACTERS`.

    Args:
        cause: Cause from Step Functions; None or empty if the execution was stopped or timed out.
        status: Status of the execution, which gives the text if there is no cause.
    """
    parsed = parse_cause(cause or "")
    no_cause = _CAUSES_BY_STATUS.get(status, "no cause was given")
    texts = (_lambda_message(parsed), _batch_message(parsed), cause or "", no_cause)
    lines = (to_storable(" ".join(text.split())) for text in texts)
    line = next(line for line in lines if line)
    return line if len(line) <= MAX_CAUSE_CHARACTERS else f"{line[: MAX_CAUSE_CHARACTERS - 1]}…"


def to_storable(text: str) -> str:
    """Return a text that PostgreSQL accepts.

    JSON may hold NUL and halves of surrogate pairs, which PostgreSQL rejects; each becomes "?".
    """
    return text.replace("\0", "?").encode(errors="replace").decode()


def parse_cause(text: str) -> dict[str, Any]:
    """Return the JSON object in a cause, with lower-case keys; empty if there is none.

    Services spell the keys differently, hence the lower case.
    """
    if _RESPONSE_MARKER in text:
        text = text.partition(_RESPONSE_MARKER)[2]
    try:
        return _lower_keys(json.loads(text)) if text.lstrip().startswith("{") else {}
    except (ValueError, RecursionError):  # not JSON, too long a number, or nested too deep
        return {}


def nested_object(parsed: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the object of a given name within a parsed cause; empty if there is none."""
    value = parsed.get(name)
    return value if isinstance(value, dict) else {}


def job_error_name(job: Mapping[str, Any]) -> str:
    """Return the error name in a job container's `reason`; empty if the agent named none."""
    reason = nested_object(job, "container").get("reason") or ""
    name, colon, _ = str(reason).partition(":")
    return name if colon and name.isidentifier() else ""


def _lambda_message(cause: dict[str, Any]) -> str:
    """Return the message of a Lambda function's exception, or its type if it has no message.

    An explanation precedes messages of known crashes. The text is empty if the cause has neither.
    """
    raw = str(cause.get("errormessage") or cause.get("errortype") or "")
    message = _REQUEST_ID_PREFIX.sub("", raw)
    meaning = next((words for ending, words in _CRASHES if ending.search(message)), None)
    return f"{meaning} ({message})" if meaning else message


def _batch_message(cause: dict[str, Any]) -> str:
    """Return a failed Batch job's reason, its container's reason, exit code and log stream.

    The text is empty if the cause does not describe a job.
    """
    if "jobid" not in cause and "statusreason" not in cause:
        return ""
    container = nested_object(cause, "container")
    exit_code, log = container.get("exitcode"), container.get("logstreamname")
    parts = [
        cause.get("statusreason"),
        container.get("reason"),
        f"exit code {exit_code}" if exit_code is not None else None,
        f"log stream {log}" if log else None,
    ]
    message = "; ".join(str(part) for part in parts if part) or "failed without a reason"
    return f"Batch job {cause.get('jobname') or cause.get('jobid') or ''}: {message}"


def _lower_keys(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.lower(): _lower_keys(item) for key, item in value.items()}
    return value
