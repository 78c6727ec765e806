"""Draw vector tiles (Mapbox Vector Tile 2.1) of detections, for every zoom.

Up to zoom 13 a tile has points with counts: nothing is left out. From zoom 14 on it has polygons,
at most 5,000. Those are chosen by a hash of their id, so neighboring tiles, zooms and requests
choose the same ones, and neither high scores nor early acquisitions are preferred.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from psycopg import sql

from swath.database.cell_counts import COUNT_COLUMNS, LEVELS, SCORE_EDGES, score_bins
from swath.database.connect import Connection, transient_errors
from swath.database.measures import CELL_ZOOM
from swath.database.queries.cells import (
    CellBox,
    at_level,
    box_cells,
    intersect,
    rows_in,
    tile_bounds,
    tile_cells,
)
from swath.database.queries.filters import (
    DetectionFilter,
    box_condition,
    join_conditions,
    needs_runs,
    row_conditions,
    run_conditions,
)
from swath.errors import InputError

MAX_ZOOM = 24
"""Highest zoom of a tile."""
MAX_SUMMARY_ZOOM = 7
"""Highest zoom whose tiles are drawn from the counts in `swath.run_cells`."""
MIN_POLYGON_ZOOM = 14
"""Lowest zoom whose tiles have polygons."""
MAX_TILE_POLYGONS = 5_000
"""Maximum number of polygons in a tile."""
MAX_TILE_VERTICES = 100_000
"""Number of vertices after which a tile gets no further polygon."""
EXTENT = 4096
"""Width and height of a tile in its own units."""
_GRID_BITS = 7
_MIN_SUMMARY_BITS = 5
_MARGIN = 1 / 64
"""Width of the margin of polygons around a tile, as a share of its side."""


@dataclass(frozen=True, slots=True)
class Tile:
    """Vector tile."""

    mvt: bytes
    """Tile with the layers `detections` and `meta`; empty without a detection.

    A point of `detections` has its `count`, and `count:NAME` for each class. A polygon has `id`,
    `class`, `score` and `run`. The only feature of `meta` has `rows`, `shown` and `is_exact`.
    """
    rows: int
    """Number of detections in the tile that satisfy the filter."""
    shown: int
    """Number of detections that the tile shows, as polygons or in counts."""
    is_exact: bool = True
    """Whether each detection was compared with the filter.

    If not, bins and cells that the filter's score and box cut are counted as a whole: up to zoom 7,
    scores between tenths, and the detections at the rim of a box."""


_META = """
(
    SELECT ST_AsMVT(m, 'meta', {extent}, 'geom')
    FROM (
        SELECT
            ST_MakePoint({extent} / 2, {extent} / 2) AS geom, t.rows, t.shown,
            {is_exact} AS is_exact
    ) AS m
)
"""
_COUNTED = """
WITH counted AS MATERIALIZED (
    SELECT (d.cell >> {shift}) & {mask} AS bin, d.class, {counts} AS n
    FROM {tables}
    WHERE {conditions}
    GROUP BY 1, 2
),
bins AS (
    SELECT
        bin, sum(n)::bigint AS count,
        jsonb_object_agg('count:' || c.name, n) AS classes
    FROM counted INNER JOIN swath.classes AS c USING (class)
    WHERE n > 0
    GROUP BY bin
),
features AS (
    SELECT
        ST_MakePoint({x} * {unit} + {unit} / 2, {y} * {unit} + {unit} / 2) AS geom,
        count, classes
    FROM bins
)
SELECT
    (SELECT ST_AsMVT(f, 'detections', {extent}, 'geom') FROM features AS f) || {meta}, t.rows,
    t.shown
FROM (SELECT sum(n)::bigint AS rows, sum(n)::bigint AS shown FROM counted) AS t
"""
_POLYGONS = """
WITH candidates AS MATERIALIZED (
    SELECT d.id, d.class, d.score, d.run, d.geom
    FROM {tables}
    WHERE {conditions}
    ORDER BY hashint8(d.id)
    LIMIT {limit} + 1
),
chosen AS MATERIALIZED (
    SELECT *
    FROM (
        SELECT
            *,
            row_number() OVER in_order AS number,
            sum(ST_NPoints(geom)) OVER in_order - ST_NPoints(geom) AS vertices
        FROM candidates
        WINDOW in_order AS (ORDER BY hashint8(id), id)
    ) AS numbered
    WHERE number <= {limit} AND vertices <= {max_vertices}
),
features AS (
    SELECT
        ST_AsMVTGeom(
            ST_Transform({clipped}, 3857), ST_TileEnvelope({z}, {x}, {y}), {extent}, {buffer}
        ) AS geom,
        d.id, c.name AS class, d.score, d.run
    FROM chosen AS d INNER JOIN swath.classes AS c ON c.class = d.class
)
SELECT
    (SELECT ST_AsMVT(f, 'detections', {extent}, 'geom', 'id') FROM features AS f) || {meta},
    t.rows, t.shown
FROM (
    SELECT
        CASE
            WHEN (SELECT count(*) FROM candidates) <= {limit} THEN (SELECT count(*) FROM candidates)
            ELSE (SELECT count(*) FROM {tables} WHERE {conditions})
        END AS rows,
        (SELECT count(*) FROM chosen) AS shown
) AS t
"""
# Web Mercator ends at 85.05°: a vertex at a pole has no position in it.
_CLIPPED = """
CASE
    WHEN ST_YMax(d.geom) > 85.06 OR ST_YMin(d.geom) < -85.06
        THEN ST_ClipByBox2D(d.geom, ST_MakeEnvelope(-180, -85.06, 180, 85.06, 4326))
    ELSE d.geom
END
"""


def draw_tile(connection: Connection, z: int, x: int, y: int, asked: DetectionFilter) -> Tile:
    """Draw the detections in a Web Mercator tile (OGC WebMercatorQuad).

    Args:
        connection: Connection to the database.
        z: Zoom, 0 to 24.
        x: Column of the tile, eastward.
        y: Row of the tile, southward.
        asked: Filter of the detections.

    Raises:
        InputError: There is no such tile.
        TransientError: The connection was lost, or the query exceeded its time limit.
    """
    _check_tile(z, x, y)
    with transient_errors(f"drawing tile {z}/{x}/{y}"), connection.transaction():
        if z >= MIN_POLYGON_ZOOM:
            return _draw_polygons(connection, z, x, y, asked)
        return _draw_counts(connection, z, x, y, asked)


def _draw_counts(connection: Connection, z: int, x: int, y: int, asked: DetectionFilter) -> Tile:
    boxes = _boxes_in(tile_cells(z, x, y), asked)
    if not boxes:
        return Tile(b"", 0, 0)
    values: dict[str, Any] = {}
    is_range = asked.bbox is None
    if z <= MAX_SUMMARY_ZOOM:
        level = _level(z)
        boxes = [at_level(box, level) for box in boxes]
        tables, inside = rows_in("run_cells", boxes, is_range=is_range)
        first, is_cut = first_bin(asked.min_score)
        counts = _sum_bins(first)
        conditions: list[sql.Composable] = [
            sql.SQL(f"d.level = {level}"),
            inside,
            *row_conditions(connection, asked, values, has_score=False),
        ]
        grid_bits, shift, is_exact = level - z, 0, not is_cut and is_range
    else:
        tables, inside = rows_in("detection_rows", boxes, is_range=is_range)
        counts = sql.SQL("count(*)")
        conditions = [inside, *row_conditions(connection, asked, values)]
        grid_bits, shift, is_exact = _GRID_BITS, 2 * (CELL_ZOOM - z - _GRID_BITS), True
    tables = join_runs(connection, tables, conditions, asked, values)
    statement = sql.SQL(_COUNTED).format(
        tables=tables,
        conditions=join_conditions(conditions),
        counts=counts,
        shift=sql.Literal(shift),
        mask=sql.Literal((1 << 2 * grid_bits) - 1),
        unit=sql.Literal(EXTENT >> grid_bits),
        x=_gather_bits("bin", grid_bits),
        y=_gather_bits("(bin >> 1)", grid_bits),
        **_common(is_exact=is_exact),
    )
    return _read_tile(connection, statement, values, is_exact=is_exact)


def first_bin(min_score: float | None) -> tuple[int, bool]:
    """Return the number of the lowest bin with scores from a score on.

    The second value is whether that bin has lower scores too.
    """
    if min_score is None:
        return 0, False
    score = np.float32(min_score)
    number = int(score_bins(np.array([score]))[0])
    edge = SCORE_EDGES[number - 1] if number else np.float32(0)
    return number, bool(score != edge)


def _sum_bins(first: int) -> sql.SQL:
    return sql.SQL("sum(" + " + ".join(f"d.{name}" for name in COUNT_COLUMNS[first:]) + ")")


def _level(z: int) -> int:
    """Return the level of the cells in tiles of a zoom: 32 or 64 cells are the side of a tile."""
    return next(level for level in LEVELS if level >= z + _MIN_SUMMARY_BITS)


def _draw_polygons(connection: Connection, z: int, x: int, y: int, asked: DetectionFilter) -> Tile:
    values: dict[str, Any] = {}
    geometry = sql.Identifier("d", "geom")
    bounds = tile_bounds(z, x, y, margin=_MARGIN)
    conditions = [
        box_condition(geometry, bounds, values, name="tile"),
        # The bounds of a geometry that is split at 180° span the whole world.
        sql.SQL("(ST_XMax(d.geom) - ST_XMin(d.geom) < 180 OR {})").format(
            box_condition(geometry, bounds, values, name="tile", exact=True)
        ),
        *row_conditions(connection, asked, values),
    ]
    if asked.bbox is not None:
        conditions.append(box_condition(geometry, asked.bbox, values, exact=True))
    rows = sql.SQL("{} AS d").format(sql.Identifier("swath", "detection_rows"))
    tables = join_runs(connection, rows, conditions, asked, values)
    statement = sql.SQL(_POLYGONS).format(
        tables=tables,
        conditions=join_conditions(conditions),
        clipped=sql.SQL(_CLIPPED),
        limit=sql.Literal(MAX_TILE_POLYGONS),
        max_vertices=sql.Literal(MAX_TILE_VERTICES),
        buffer=sql.Literal(round(EXTENT * _MARGIN)),
        **{name: sql.Literal(value) for name, value in (("z", z), ("x", x), ("y", y))},
        **_common(),
    )
    return _read_tile(connection, statement, values)


def join_runs(
    connection: Connection,
    tables: sql.Composed,
    conditions: list[sql.Composable],
    asked: DetectionFilter,
    values: dict[str, Any],
) -> sql.Composed:
    """Return the tables with those of the runs if they are needed, and add the conditions on runs.

    Args:
        connection: Connection to the database.
        tables: Tables of a query, one of which is `d` with a column `run`.
        conditions: Conditions of the query, which are extended.
        asked: Filter of the detections.
        values: Parameters of the query, which are extended.
    """
    if not needs_runs(connection, asked):
        return tables
    conditions.extend(run_conditions(asked, values))
    return tables + sql.SQL(" INNER JOIN swath.runs AS r ON r.run = d.run")


def _boxes_in(tile: CellBox, asked: DetectionFilter) -> list[CellBox]:
    """Return the cells of a tile that are in the filter's box."""
    if asked.bbox is None:
        return [tile]
    shared = (intersect(tile, box) for box in box_cells(asked.bbox))
    return [box for box in shared if box is not None]


def _gather_bits(code: str, count: int) -> sql.SQL:
    """Return the expression of the number that a code's even bits form."""
    # In PostgreSQL `&` does not bind more strongly than `|`.
    return sql.SQL(
        "(" + " | ".join(f"(({code} >> {bit}) & {1 << bit})" for bit in range(count)) + ")"
    )


def _common(*, is_exact: bool = True) -> dict[str, sql.Composable]:
    extent = sql.Literal(EXTENT)
    meta = sql.SQL(_META).format(extent=extent, is_exact=sql.Literal(is_exact))
    return {"extent": extent, "meta": meta}


def _read_tile(
    connection: Connection,
    statement: sql.Composed,
    values: dict[str, Any],
    *,
    is_exact: bool = True,
) -> Tile:
    with connection.cursor(binary=True) as cursor:
        row = cursor.execute(statement, values, prepare=False).fetchone()
    if row is None or not row[1]:
        return Tile(b"", 0, 0)
    mvt, rows, shown = row
    return Tile(bytes(mvt), rows, shown, is_exact)


def _check_tile(z: int, x: int, y: int) -> None:
    if not 0 <= z <= MAX_ZOOM:
        raise InputError(f"zoom {z} is not between 0 and {MAX_ZOOM}")
    if not (0 <= x < 1 << z and 0 <= y < 1 << z):
        raise InputError(f"there is no tile {z}/{x}/{y}; zoom {z} has {1 << z} columns and rows")
