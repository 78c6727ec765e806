"""Convert tiles and boxes to ranges of cells, the Morton codes of `swath.database.measures`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from swath.database.measures import CELL_ZOOM, cell_numbers
from swath.database.queries.filters import Bounds, split_bounds

X_BITS = 0x5555555555555
"""Bits of a cell's column."""
Y_BITS = X_BITS << 1
"""Bits of a cell's row."""
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
