"""Why an execution failed, in one line that a person can read.

Step Functions passes on what the failing service said: a Lambda function's exception as JSON, a
Batch job as a description of the whole job, other services' messages as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

LONGEST = 2000

# What an execution that was stopped or took too long leaves without a cause of its own.
_OF_STATUS = {
    "TIMED_OUT": "the run took longer than it may",
    "ABORTED": "the run was stopped by hand",
}
# A prefix of Lambda's own, with an id that its log has.
_REQUEST = re.compile(r"^RequestId: [0-9a-f-]+ (Error: )?")
# https://docs.aws.amazon.com/lambda/latest/dg/troubleshooting-invocation.html
_ENDINGS = (
    (
        re.compile(r"signal: (killed|9)\b|Runtime\.OutOfMemory"),
        "the function was killed, most likely since its memory was used up",
    ),
    (re.compile(r"^Runtime exited"), "the function's process crashed"),
    (re.compile(r"Task timed out after [\d.]+ seconds$"), "the function took longer than it may"),
    (re.compile(r"No space left on device"), "the function's disk is full"),
)
# What follows in the cause of an answer without an error's type, which older runtimes give.
_RETURNED = "Returned payload:"


def readable_cause(cause: str | None, *, status: str = "") -> str:
    """The cause of an execution's failure without what its service wrapped around it.

    Args:
        cause: what Step Functions gives; None or empty where an execution was stopped or timed out.
        status: of the execution, for where it gives none.
    """
    parsed = parse_cause(cause or "")
    without = _OF_STATUS.get(status, "no cause was given")
    texts = (_of_lambda(parsed), _of_batch(parsed), cause or "", without)
    lines = (storable(" ".join(text.split())) for text in texts)
    line = next(line for line in lines if line)
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"


def storable(text: str) -> str:
    """Return a text that PostgreSQL takes: JSON may hold NUL and halves of surrogate pairs."""
    return text.replace("\0", "?").encode(errors="replace").decode()


def parse_cause(text: str) -> dict[str, Any]:
    """The JSON object in a cause, empty where there is none.

    Its keys are in lower case, since services differ in how they write them.
    """
    if _RETURNED in text:
        text = text.partition(_RETURNED)[2]
    try:
        return _lower(json.loads(text)) if text.lstrip().startswith("{") else {}
    except (ValueError, RecursionError):  # no JSON, too long a number, or too deep
        return {}


def object_in(parsed: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return an object within a cause, empty where there is none of that name."""
    found = parsed.get(name)
    return found if isinstance(found, dict) else {}


def error_of(job: Mapping[str, Any]) -> str:
    """Return the name of the error that ended a job's container; empty if the agent named none."""
    reason = object_in(job, "container").get("reason") or ""
    name, colon, _ = str(reason).partition(":")
    return name if colon and name.isidentifier() else ""


def _of_lambda(cause: dict[str, Any]) -> str:
    """The message of the exception that ended a Lambda function; without one, its type."""
    said = str(cause.get("errormessage") or cause.get("errortype") or "")
    message = _REQUEST.sub("", said)
    meaning = next((words for ending, words in _ENDINGS if ending.search(message)), None)
    return f"{meaning} ({message})" if meaning else message


def _of_batch(cause: dict[str, Any]) -> str:
    """What Batch says about a job: its reason, its container's, the exit code and the log."""
    if "jobid" not in cause and "statusreason" not in cause:
        return ""
    container = object_in(cause, "container")
    exit_code, log = container.get("exitcode"), container.get("logstreamname")
    parts = [
        cause.get("statusreason"),
        container.get("reason"),
        f"exit code {exit_code}" if exit_code is not None else None,
        f"log stream {log}" if log else None,
    ]
    said = "; ".join(str(part) for part in parts if part) or "failed without a reason"
    return f"Batch job {cause.get('jobname') or cause.get('jobid') or ''}: {said}"


def _lower(value: Any) -> Any:
    if isinstance(value, dict):
        return {key.lower(): _lower(item) for key, item in value.items()}
    return value
