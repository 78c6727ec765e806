"""Record that a run failed, and why."""

from __future__ import annotations

from psycopg import sql

from swath.database.connect import Connection, transient_errors
from swath.database.runs import run_row, write_run
from swath.messages.execution_events import Failure

# A failure that is reported late says nothing about a run that has been run anew since, and was
# loaded or failed once more.
_IF_NEWER = sql.SQL("runs.status <> 'succeeded' AND runs.ended_at <= excluded.ended_at")


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
