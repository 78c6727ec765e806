"""Record that a run failed, and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Self

import msgspec
from psycopg import sql

from swath.database.cause import readable_cause, storable
from swath.database.connect import Connection, transient_errors
from swath.database.runs import run_row, write_run
from swath.errors import PayloadError
from swath.execution_events import EndedExecution
from swath.payloads import RunRequest

Status = Literal["failed", "timed_out", "aborted"]

# A failure that is reported late says nothing about a run that has been run anew since, and was
# loaded or failed once more.
_IF_NEWER = sql.SQL("runs.status <> 'succeeded' AND runs.ended_at <= excluded.ended_at")


class _Detail(EndedExecution, frozen=True):
    """The fields that are read of an event about a run that failed."""

    status: Literal["FAILED", "TIMED_OUT", "ABORTED"]
    error: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A run that ended without a result."""

    request: RunRequest
    status: Status
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
        status: Status = found.status.lower()  # type: ignore[assignment]
        return cls(
            request=request,
            status=status,
            error=storable(found.error or found.status),
            cause=readable_cause(found.cause, status=found.status),
            at=found.ended_at,
        )


def record_failure(connection: Connection, failure: Failure) -> bool:
    """Write a failed run to the table of runs, unless what is there is newer.

    A run that is loaded stays `succeeded`, whatever failed after the load: its rows are there.

    Args:
        connection: not in a transaction; it is committed.
        failure: the run, and what became of it.

    Returns:
        Whether it was written: not if the run is loaded, or has failed once more since then.

    Raises:
        TransientError: the connection was lost.
    """
    row = run_row(
        failure.request,
        status=failure.status,
        ended_at=failure.at,
        error=failure.error,
        cause=failure.cause,
    )
    with transient_errors(f"recording run {failure.request.run_id}"), connection.transaction():
        return write_run(connection, row, replacing=_IF_NEWER)
