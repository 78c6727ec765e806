"""Step Functions' "Execution Status Change" events about runs that ended.

https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, Self

import msgspec

from swath.errors import PayloadError
from swath.messages import RunRequest
from swath.messages.failure_cause import readable_cause, storable

FailedStatus = Literal["failed", "timed_out", "aborted"]


class EndedExecution(msgspec.Struct, frozen=True):
    """The fields of an event's `detail` that every reader of it needs."""

    stop: int = msgspec.field(name="stopDate")
    """Milliseconds since 1970."""
    request: str = msgspec.field(name="input")

    @classmethod
    def read(cls, detail: Any) -> Self:
        """Read an event's `detail`, whatever text the words of a failing program are.

        Raises:
            msgspec.ValidationError: this is not such an event.
        """
        # Half of a surrogate pair is possible in JSON, and not in UTF-8.
        text = json.dumps(detail, ensure_ascii=False).encode(errors="replace")
        return msgspec.convert(json.loads(text), cls)

    @property
    def ended_at(self) -> datetime:
        """When the execution ended.

        Raises:
            PayloadError: it is no time.
        """
        try:
            return datetime.fromtimestamp(self.stop / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise PayloadError(f"{self.stop} ms since 1970 is no time") from None

    def run_request(self) -> RunRequest:
        """Return the run that the execution was started with.

        Raises:
            msgspec.MsgspecError: its input is no JSON.
            PayloadError: its input is no run.
        """
        return RunRequest.from_json(msgspec.json.decode(self.request))


class _Detail(EndedExecution, frozen=True):
    """The fields that are read of an event about a run that failed."""

    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that ended without a result."""

    request: RunRequest
    status: FailedStatus
    error: str
    cause: str
    at: datetime

    @classmethod
    def of_execution(cls, detail: Any) -> Self:
        """Read the `detail` of Step Functions' event about a failed execution.

        Raises:
            PayloadError: this is not such an event, or the execution's input was no run.
        """
        try:
            found = _Detail.read(detail)
            request = found.run_request()
        except msgspec.MsgspecError as error:
            raise PayloadError(f"not the event of a failed run: {error}") from None
        status: FailedStatus = found.status.lower()  # type: ignore[assignment]
        return cls(
            request=request,
            status=status,
            error=storable(found.error or found.status),
            cause=readable_cause(found.cause, status=found.status),
            at=found.ended_at,
        )
