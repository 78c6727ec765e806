"""Sum detections: by class, and by score.

The counts of `swath.run_cells` give the sums. If the filter cuts their bins or cells and few
detections are concerned, the detections themselves are counted.
"""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg import sql

from swath.database import cell_counts
from swath.database.cell_counts import COUNT_COLUMNS, LEVELS
from swath.database.connect import Connection, transient_errors
from swath.database.measures import CELL_ZOOM
from swath.database.queries.cells import (
    CellBox,
    at_level,
    box_cells,
    rows_in,
    split_code,
    tile_cells,
)
from swath.database.queries.filters import DetectionFilter, join_conditions, row_conditions
from swath.database.queries.tiles import first_bin, join_runs

SCORE_EDGES = (0.0, *(float(str(edge)) for edge in cell_counts.SCORE_EDGES), 1.0)
"""Edges of the score bins: 0.0, 0.1, … 1.0. Scores are compared with them as float32."""

_MAX_EXACT_ROWS = 300_000
"""Maximum number of detections that are counted one by one."""
_MIN_CELLS_ACROSS = 64
"""Number of cells along the shorter side of a box from which their level is fine enough."""
_QUERY = sql.SQL("""
SELECT c.name, {columns}
FROM {tables} INNER JOIN swath.classes AS c ON c.class = d.class
WHERE {conditions}
GROUP BY c.name
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
    with transient_errors("counting detections"), connection.transaction():
        summary = _sum_cells(connection, asked)
        if summary.is_exact or summary.detections > _MAX_EXACT_ROWS:
            return summary
        return _count_rows(connection, asked)


def _sum_cells(connection: Connection, asked: DetectionFilter) -> Summary:
    is_range, boxes = asked.bbox is None, _boxes(asked)
    level = LEVELS[0] if is_range else _level(boxes)
    inside = [at_level(box, level) for box in boxes]
    tables, is_inside = rows_in("run_cells", inside, is_range=is_range)
    values: dict[str, Any] = {}
    conditions = [
        sql.SQL(f"d.level = {level}"),
        is_inside,
        *row_conditions(connection, asked, values, has_score=False),
    ]
    first, is_cut = first_bin(asked.min_score)
    columns = [f"sum(d.{name})::bigint" for name in COUNT_COLUMNS]
    columns[:first] = ["0"] * first
    rows = _read(connection, tables, conditions, columns, asked, values)
    return _summary(rows, is_exact=is_range and not is_cut)


def _count_rows(connection: Connection, asked: DetectionFilter) -> Summary:
    tables, is_inside = rows_in("detection_rows", _boxes(asked), is_range=asked.bbox is None)
    values: dict[str, Any] = {}
    conditions = [is_inside, *row_conditions(connection, asked, values)]
    columns = [
        f"count(*) FILTER (WHERE swath.score_bin(d.score) = {number})"
        for number in range(len(COUNT_COLUMNS))
    ]
    rows = _read(connection, tables, conditions, columns, asked, values)
    return _summary(rows, is_exact=True)


def _boxes(asked: DetectionFilter) -> list[CellBox]:
    """Return the cells of the filter's box; without one, those of the only tile at zoom 0."""
    return [tile_cells(0, 0, 0)] if asked.bbox is None else box_cells(asked.bbox)


def _read(
    connection: Connection,
    tables: sql.Composed,
    conditions: list[sql.Composable],
    columns: list[str],
    asked: DetectionFilter,
    values: dict[str, Any],
) -> list[tuple[Any, ...]]:
    tables = join_runs(connection, tables, conditions, asked, values)
    statement = _QUERY.format(
        columns=sql.SQL(", ".join(columns)), tables=tables, conditions=join_conditions(conditions)
    )
    return connection.execute(statement, values, prepare=False).fetchall()


def _level(boxes: list[CellBox]) -> int:
    """Return the coarsest level with enough cells along the sides of the boxes."""
    for level in LEVELS:
        shift = 2 * (CELL_ZOOM - level)
        across = 0
        for box in boxes:
            first, last = split_code(box.first >> shift), split_code(box.last >> shift)
            across += min(end - start for start, end in zip(first, last, strict=True))
        if across >= _MIN_CELLS_ACROSS:
            return level
    return LEVELS[-1]


def _summary(rows: list[tuple[Any, ...]], *, is_exact: bool) -> Summary:
    classes = {name: sum(counts) for name, *counts in rows if sum(counts)}
    histogram = tuple(sum(column) for column in zip(*(row[1:] for row in rows), strict=True))
    return Summary(
        detections=sum(histogram),
        classes=dict(sorted(classes.items(), key=lambda item: (-item[1], item[0]))),
        score_edges=SCORE_EDGES,
        histogram=histogram or (0,) * len(COUNT_COLUMNS),
        is_exact=is_exact,
    )
