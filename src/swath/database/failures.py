"""Record failed runs, with their causes, in the database."""

from __future__ import annotations

from psycopg import sql

from swath.database.connect import Connection, transient_errors
from swath.database.runs import build_run_row, write_run
from swath.messages.execution_events import RunFailure

# A late report of a failure must not overwrite the row of a run that was started again since. That
# run may be loaded, or may have failed once more.
_IF_NEWER = sql.SQL("runs.status <> 'succeeded' AND runs.ended_at <= excluded.ended_at")


def record_failure(connection: Connection, failure: RunFailure) -> bool:
    """Write a failed run to the table of runs, unless the run's row there is newer.

    A loaded run stays `succeeded` even if a later step failed, because its detections are in the
    database.

    Args:
        connection: Connection that is not in a transaction; the function commits.
        failure: Failed run.

    Returns:
        Whether the row was written. It is not if the run is loaded, or has failed again since.

    Raises:
        TransientError: The connection was lost.
    """
    row = build_run_row(
        failure.request,
        status=failure.status,
        ended_at=failure.ended_at,
        error=failure.error,
        cause=failure.cause,
    )
    with transient_errors(f"recording run {failure.request.run_id}"), connection.transaction():
        return write_run(connection, row, overwrite_if=_IF_NEWER)
