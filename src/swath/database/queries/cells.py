"""Convert tiles and boxes to ranges of cells, the Morton codes of `swath.database.measures`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from psycopg import sql

from swath.database.measures import CELL_ZOOM, cell_numbers
from swath.database.queries.filters import Bounds, split_bounds

X_BITS = 0x5555555555555
"""Bits of a cell's column."""
Y_BITS = X_BITS << 1
"""Bits of a cell's row."""
_MAX_RANGES = 48
"""Maximum number of ranges that cover a rectangle."""
_MERCATOR_LIMIT = math.degrees(math.atan(math.sinh(math.pi)))


@dataclass(frozen=True, slots=True)
class CellBox:
    """Rectangle of cells at zoom 26: from one corner to the other, both included.

    Of two cells, the one further east has the larger `cell & X_BITS`, the one further south the
    larger `cell & Y_BITS`.
    """

    first: int
    """Cell of the corner in the north west."""
    last: int
    """Cell of the corner in the south east."""


def tile_cells(z: int, x: int, y: int) -> CellBox:
    """Return the cells of a Web Mercator tile."""
    shift = 2 * (CELL_ZOOM - z)
    first = morton(x, y) << shift
    return CellBox(first, first + (1 << shift) - 1)


def box_cells(bounds: Bounds) -> list[CellBox]:
    """Return the cells of a box in degrees, as two rectangles if it crosses 180°."""
    result = []
    for west, south, east, north in split_bounds(bounds):
        first, last = cell_numbers(np.array([west, east]), np.array([north, south]))
        result.append(CellBox(int(first), int(last)))
    return result


def intersect(one: CellBox, other: CellBox) -> CellBox | None:
    """Return the rectangle that two rectangles share; None if there is none."""
    first = max(one.first & X_BITS, other.first & X_BITS) | max(
        one.first & Y_BITS, other.first & Y_BITS
    )
    last = min(one.last & X_BITS, other.last & X_BITS) | min(one.last & Y_BITS, other.last & Y_BITS)
    if first & X_BITS > last & X_BITS or first & Y_BITS > last & Y_BITS:
        return None
    return CellBox(first, last)


def at_level(box: CellBox, level: int) -> CellBox:
    """Return the cells of a coarser level whose centers are in a rectangle; its ends are included.

    The last cell comes before the first one if no center is.
    """
    half = CellBox(*(_shift(code, CELL_ZOOM - level - 1) for code in (box.first, box.last)))
    # In half cells the centers are the odd numbers.
    first = [(side + 1) >> 1 for side in split_code(half.first)]
    last = [(side - 1) >> 1 for side in split_code(half.last)]
    first = [min(side, last_ + 1) for side, last_ in zip(first, last, strict=True)]
    if any(side < 0 for side in last):
        return CellBox(0, -1)
    return CellBox(morton(*first), morton(*last))


def cover(box: CellBox) -> list[tuple[int, int]]:
    """Return ranges of cells that together hold all cells of a rectangle, and few others.

    Tiles that the rectangle cuts are divided, the largest ones first, as long as there are few.
    """
    bits = max(box.first ^ box.last, 0).bit_length()
    zoom = CELL_ZOOM - (bits + 1) // 2
    shift = 2 * (CELL_ZOOM - zoom)
    whole: list[tuple[int, int]] = []
    cut = [box.first >> shift]
    while cut and zoom < CELL_ZOOM and len(whole) + 4 * len(cut) <= _MAX_RANGES:
        zoom, shift = zoom + 1, shift - 2
        children = [code << 2 | part for code in cut for part in range(4)]
        cut = []
        for code in children:
            tile = CellBox(code << shift, ((code + 1) << shift) - 1)
            shared = intersect(tile, box)
            if shared == tile:
                whole.append((tile.first, tile.last))
            elif shared is not None:
                cut.append(code)
    rest = [(code << shift, ((code + 1) << shift) - 1) for code in cut]
    return _join_neighbors(sorted(whole + rest))


def _join_neighbors(ranges: list[tuple[int, int]]) -> list[tuple[int, int]]:
    result = ranges[:1]
    for first, last in ranges[1:]:
        if first == result[-1][1] + 1:
            result[-1] = (result[-1][0], last)
        else:
            result.append((first, last))
    return result


def rows_in(table: str, boxes: list[CellBox], *, is_range: bool) -> tuple[sql.Composed, sql.SQL]:
    """Return the tables and the condition of a query for rows `d` whose cell is in a rectangle.

    A join to the ranges lets PostgreSQL scan the index once for each range.

    Args:
        table: Table with a column `cell`.
        boxes: Rectangles, at the level of the column.
        is_range: Whether the only rectangle is a tile, whose cells are one range.
    """
    if is_range:
        (box,) = boxes
        tables = sql.SQL("{} AS d").format(sql.Identifier("swath", table))
        return tables, sql.SQL(f"d.cell BETWEEN {box.first} AND {box.last}")
    # A small box has no center of a coarse cell, and VALUES needs a row.
    ranges = sorted({pair for box in boxes for pair in cover(box)}) or [(0, -1)]
    values = ", ".join(f"({first}::bigint, {last}::bigint)" for first, last in ranges)
    tables = sql.SQL(
        f"(VALUES {values}) AS v (first, last)"
        " INNER JOIN {} AS d ON d.cell BETWEEN v.first AND v.last"
    ).format(sql.Identifier("swath", table))
    inside = " OR ".join(
        f"d.cell & {X_BITS} BETWEEN {box.first & X_BITS} AND {box.last & X_BITS}"
        f" AND d.cell & {Y_BITS} BETWEEN {box.first & Y_BITS} AND {box.last & Y_BITS}"
        for box in boxes
    )
    return tables, sql.SQL(f"({inside})")


def split_code(code: int) -> tuple[int, int]:
    """Return the column and the row of a Morton code."""
    x, y = (
        sum((code >> 2 * bit + odd & 1) << bit for bit in range(CELL_ZOOM + 1)) for odd in (0, 1)
    )
    return x, y


def _shift(code: int, zooms: int) -> int:
    return code >> 2 * zooms


def morton(x: int, y: int) -> int:
    """Return the Morton code of a tile: the bits of x are the even ones, those of y the odd."""
    return sum(((x >> bit & 1) | (y >> bit & 1) << 1) << 2 * bit for bit in range(CELL_ZOOM))


def tile_bounds(z: int, x: int, y: int, *, margin: float = 0.0) -> Bounds:
    """Return a Web Mercator tile's west, south, east and north in degrees.

    Args:
        z: Zoom.
        x: Column.
        y: Row.
        margin: Width of a margin around the tile, as a share of its side.
    """
    side = 1 << z
    west, east = ((x + dx) / side * 360 - 180 for dx in (-margin, 1 + margin))
    north, south = (
        math.degrees(math.atan(math.sinh(math.pi * (1 - 2 * (y + dy) / side))))
        for dy in (-margin, 1 + margin)
    )
    # The first and the last row reach to the poles, as their cells do.
    if y == side - 1:
        south = min(south, -_MERCATOR_LIMIT)
    return max(west, -180.0), south, min(east, 180.0), north
