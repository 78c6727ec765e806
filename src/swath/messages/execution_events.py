"""Read Step Functions' "Execution Status Change" events about runs that ended.

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
from swath.messages.failure_cause import format_cause, to_storable

FailedStatus = Literal["failed", "timed_out", "aborted"]


class EndedExecution(msgspec.Struct, frozen=True):
    """Fields of an event's `detail` that every reader of the event needs."""

    stop_ms: int = msgspec.field(name="stopDate")
    """Time at which the execution ended, in ms since 1970."""
    input_json: str = msgspec.field(name="input")
    """Input of the execution, JSON."""

    @classmethod
    def from_detail(cls, detail: Any) -> Self:
        """Read an event's `detail`, even if a failing program's text in it is not valid Unicode.

        Raises:
            msgspec.ValidationError: The detail is not that of such an event.
        """
        # JSON can hold half of a surrogate pair, which UTF-8 cannot.
        text = json.dumps(detail, ensure_ascii=False).encode(errors="replace")
        return msgspec.convert(json.loads(text), cls)

    @property
    def ended_at(self) -> datetime:
        """Time at which the execution ended, in UTC.

        Raises:
            PayloadError: The number of milliseconds is not a valid time.
        """
        try:
            return datetime.fromtimestamp(self.stop_ms / 1000, UTC)
        except (ValueError, OverflowError, OSError):
            raise PayloadError(f"{self.stop_ms} ms since 1970 is not a valid time") from None

    def parse_request(self) -> RunRequest:
        """Return the run request that was the execution's input.

        Raises:
            msgspec.MsgspecError: The input is not JSON.
            PayloadError: The input is not a run request.
        """
        return RunRequest.from_json(msgspec.json.decode(self.input_json))


class _FailureDetail(EndedExecution, frozen=True):
    """Fields of an event about a failed run."""

    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFailure:
    """A run that ended without a result."""

    request: RunRequest
    status: FailedStatus
    error: str
    """Name of the error; the execution's status if Step Functions gives none."""
    cause: str
    """Cause of the failure, one line."""
    ended_at: datetime
    """Time at which the execution ended, in UTC."""

    @classmethod
    def from_event_detail(cls, detail: Any) -> Self:
        """Read the `detail` of Step Functions' event about a failed execution.

        Raises:
            PayloadError: The detail is not that of such an event, or the execution's input is not
                a run request.
        """
        try:
            event = _FailureDetail.from_detail(detail)
            request = event.parse_request()
        except msgspec.MsgspecError as error:
            raise PayloadError(f"not the event of a failed run: {error}") from None
        status: FailedStatus = event.status.lower()  # type: ignore[assignment]
        return cls(
            request=request,
            status=status,
            error=to_storable(event.error or event.status),
            cause=format_cause(event.cause, status=event.status),
            ended_at=event.ended_at,
        )
