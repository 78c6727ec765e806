"""Count the detections of runs that an earlier release loaded, for `swath.run_cells`.

A batch of runs is one transaction, so a process that is killed leaves complete batches. What is
left are the runs without `summarized_at`: there is no other record of the progress. Loads and
deletions go on meanwhile. A batch locks its runs and skips those that a load has locked; a load
that waits for a batch deletes the counts that the batch wrote.
"""

from __future__ import annotations

import time

from psycopg import sql

from swath.database.cell_counts import COUNT_COLUMNS, LEVELS
from swath.database.connect import Connection, transient_errors
from swath.database.measures import CELL_ZOOM
from swath.messages import Payload

_BATCH_RUNS = 200
_BATCH_ROWS = 200_000
"""Number of detections after which a batch gets no further run."""

# Rows of a release before the previous one are counted once they are moved.
_PENDING = """
SELECT r.run, coalesce(r.detections, 0)
FROM swath.runs AS r
WHERE
    r.status = 'succeeded' AND r.summarized_at IS NULL AND r.run > %(after)s
    AND NOT EXISTS (
        SELECT FROM swath.detections_0004 AS d
        WHERE d.run_id = r.run_id AND NOT ST_IsEmpty(d.geom)
    )
ORDER BY r.run
LIMIT %(limit)s
FOR UPDATE SKIP LOCKED
"""
_REMAINING = """
SELECT count(*) FROM swath.runs WHERE status = 'succeeded' AND summarized_at IS NULL
"""
COUNT_ROWS = """
WITH finest AS MATERIALIZED (
    SELECT run, class, cell >> {shift} AS cell, {bins}
    FROM (
        SELECT d.run, d.class, d.cell, swath.score_bin(d.score) AS bin
        FROM swath.detection_rows AS d
        WHERE {{condition}}
    ) AS binned
    GROUP BY 1, 2, 3
)
SELECT
    run, level::smallint AS level, class, cell >> 2 * ({finest} - level) AS cell, {sums}
FROM finest CROSS JOIN (VALUES {levels}) AS levels (level)
GROUP BY 1, 2, 3, 4
""".format(  # noqa: S608 - constants
    shift=2 * (CELL_ZOOM - LEVELS[-1]),
    finest=LEVELS[-1],
    levels=", ".join(f"({level})" for level in LEVELS),
    bins=", ".join(
        f"count(*) FILTER (WHERE bin = {number}) AS {name}"
        for number, name in enumerate(COUNT_COLUMNS)
    ),
    sums=", ".join(f"sum({name})::int AS {name}" for name in COUNT_COLUMNS),
)
"""Query for the rows of `swath.run_cells` of the detections `d` that satisfy `{condition}`."""
COLUMNS = ("run", "level", "class", "cell", *COUNT_COLUMNS)
"""Columns of that query."""


class SummarizeProgress(Payload, frozen=True, kw_only=True):
    """Progress of counting."""

    summarized: int
    """Number of runs whose detections this call counted."""
    unsummarized: int
    """Number of runs whose detections are still to be counted."""


def summarize_runs(connection: Connection, *, seconds: float) -> SummarizeProgress:
    """Count the detections of runs that have no counts, until none is left or the time is over.

    Args:
        connection: Connection that is not in a transaction, to a database that is migrated. The
            function commits after each batch.
        seconds: Time in s after which no further batch begins.

    Raises:
        TransientError: The connection was lost. Complete batches stay; call again.
    """
    deadline = time.monotonic() + seconds
    summarized = after = 0
    with transient_errors("counting the detections of runs"):
        while time.monotonic() < deadline:
            with connection.transaction():
                runs = _take_runs(connection, after)
                if not runs:
                    break
                _summarize(connection, runs)
            summarized, after = summarized + len(runs), runs[-1]
        with connection.transaction():
            ((remaining,),) = connection.execute(_REMAINING)
    return SummarizeProgress(summarized=summarized, unsummarized=remaining)


def _take_runs(connection: Connection, after: int) -> list[int]:
    """Lock the next runs whose detections are to be counted, and return their numbers."""
    rows = connection.execute(_PENDING, {"after": after, "limit": _BATCH_RUNS}).fetchall()
    runs: list[int] = []
    total = 0
    for run, detections in rows:
        if runs and total + detections > _BATCH_ROWS:
            break
        runs.append(run)
        total += detections
    return runs


def _summarize(connection: Connection, runs: list[int]) -> None:
    insert = sql.SQL("INSERT INTO swath.run_cells ({columns}) {counts}").format(
        columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
        counts=sql.SQL(COUNT_ROWS).format(condition=sql.SQL("d.run = ANY (%(runs)s)")),
    )
    connection.execute("DELETE FROM swath.run_cells WHERE run = ANY (%s)", [runs])
    connection.execute(insert, {"runs": runs})
    connection.execute(
        "UPDATE swath.runs SET summarized_at = clock_timestamp() WHERE run = ANY (%s)", [runs]
    )
