"""Sum detections: by class, and by score."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from psycopg import sql

from swath.database.connect import Connection, transient_errors
from swath.database.queries.cells import box_cells
from swath.database.queries.filters import (
    DetectionFilter,
    join_conditions,
    row_conditions,
)
from swath.database.queries.tiles import cells_condition, join_runs

SCORE_EDGES = tuple(float(edge) for edge in np.arange(11, dtype=np.float32) / np.float32(10))
"""Edges of the score bins: 0.0, 0.1, … 1.0, as float32. A bin includes its lower edge."""

_QUERY = sql.SQL("""
SELECT c.name, width_bucket(d.score, {edges}::real[]) AS bin, count(*)
FROM {tables} INNER JOIN swath.classes AS c ON c.class = d.class
WHERE {conditions}
GROUP BY 1, 2
""")


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of detections."""

    detections: int
    """Number of detections."""
    classes: dict[str, int]
    """Number of detections by class, the most frequent class first."""
    score_edges: tuple[float, ...]
    """Edges of the score bins, n + 1 numbers. A bin includes its lower edge, the last one both."""
    histogram: tuple[int, ...]
    """Number of detections by score bin, n numbers."""
    is_exact: bool
    """Whether each detection was compared with the filter.

    If not, bins and cells that the filter's score and box cut are counted as a whole."""


def summarize(connection: Connection, asked: DetectionFilter) -> Summary:
    """Count detections by class and by score.

    Args:
        connection: Connection to the database.
        asked: Filter of the detections. A detection whose center is in the box counts.

    Raises:
        TransientError: The connection was lost, or the query exceeded its time limit.
    """
    values: dict[str, Any] = {}
    with transient_errors("counting detections"), connection.transaction():
        conditions = row_conditions(connection, asked, values)
        if asked.bbox is not None:
            conditions.append(cells_condition(box_cells(asked.bbox), is_tile=False))
        tables = join_runs(conditions, asked, values)
        inner = list(SCORE_EDGES[1:-1])
        statement = _QUERY.format(
            edges=sql.Literal(inner), tables=tables, conditions=join_conditions(conditions)
        )
        rows = connection.execute(statement, values, prepare=False).fetchall()
    return _summary(rows, is_exact=True)


def _summary(rows: list[tuple[Any, ...]], *, is_exact: bool) -> Summary:
    classes: dict[str, int] = {}
    histogram = [0] * (len(SCORE_EDGES) - 1)
    for name, score_bin, count in rows:
        classes[name] = classes.get(name, 0) + count
        histogram[score_bin] += count
    return Summary(
        detections=sum(histogram),
        classes=dict(sorted(classes.items(), key=lambda item: (-item[1], item[0]))),
        score_edges=SCORE_EDGES,
        histogram=tuple(histogram),
        is_exact=is_exact,
    )
