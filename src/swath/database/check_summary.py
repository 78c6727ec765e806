"""Compare the counts in `swath.run_cells` with the detections."""

from __future__ import annotations

import msgspec
from psycopg import sql

from swath.database.cell_counts import COUNT_COLUMNS
from swath.database.connect import Connection, transient_errors
from swath.database.summarize_runs import COLUMNS, COUNT_ROWS

_MAX_EXAMPLES = 5
_QUERY = sql.SQL("""
WITH counted AS MATERIALIZED ({counted}),
stored AS MATERIALIZED (
    SELECT run, level, class, cell, {sums} FROM swath.run_cells GROUP BY run, level, class, cell
),
differences AS (
    (SELECT {columns} FROM counted EXCEPT ALL SELECT {columns} FROM stored)
    UNION ALL
    (SELECT {columns} FROM stored EXCEPT ALL SELECT {columns} FROM counted)
)
SELECT run, level, class, cell, count(*) OVER () FROM differences ORDER BY 1, 2, 3, 4 LIMIT {limit}
""")
_CONDITION = sql.SQL(
    "d.run IN (SELECT r.run FROM swath.runs AS r WHERE r.summarized_at IS NOT NULL)"
)


class SummaryCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Result of a comparison."""

    differences: int
    """Number of rows that only the detections or only the counts give."""
    examples: tuple[str, ...]
    """The first differences: run, level, class and cell of each."""


def check_summary(connection: Connection) -> SummaryCheck:
    """Compare counts and detections of all runs, as of one moment.

    Counts of runs that are not summarized or do not exist are differences. The query reads all
    rows: some 10 s for 10 million detections.

    Args:
        connection: Connection to the database.

    Raises:
        TransientError: The connection was lost.
    """
    statement = _QUERY.format(
        counted=sql.SQL(COUNT_ROWS).format(condition=_CONDITION),
        sums=sql.SQL(", ").join(
            sql.SQL("sum({0})::int AS {0}").format(sql.Identifier(name)) for name in COUNT_COLUMNS
        ),
        columns=sql.SQL(", ").join(map(sql.Identifier, COLUMNS)),
        limit=_MAX_EXAMPLES,
    )
    with transient_errors("comparing counts and detections"), connection.transaction():
        rows = connection.execute(statement).fetchall()
    examples = tuple(
        f"run {run}, level {level}, class {number}, cell {cell}"
        for run, level, number, cell, _ in rows
    )
    return SummaryCheck(differences=rows[0][4] if rows else 0, examples=examples)
