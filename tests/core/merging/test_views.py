"""Views by two tiles side by side or one above the other, and whether they may be of one object."""

import numpy as np
import pytest

from swath.detections import Detections
from swath.merging.matching import Matching
from swath.merging.ownership import Axis
from swath.merging.views import Views
from swath.tiles import Grid

# Tiles 0 to 64, 48 to 112 and 96 to 160 along each axis.
GRID = Grid(width=160, height=160, size=64, overlap=16)
TOLERANCE = 2.0


def pairs(*rows, along, across=(5, 30)):
    """The pairs among views (place along the axis, low, high); across it, all see the same."""
    places, low, high = (np.array(column) for column in zip(*rows, strict=True))
    boxes = np.repeat(np.array([across], np.float64), 2, axis=1).repeat(len(rows), axis=0)
    boxes[:, along], boxes[:, 2 + along] = low, high
    tiles = places if along == 0 else places * GRID.columns
    seen = Detections.concatenate(
        [
            Detections.of_tile(boxes[[row]], np.ones(1, np.float32), np.zeros(1, np.int16), tile)
            for row, tile in enumerate(tiles.tolist())
        ]
    )
    by_column, by_row = (
        Axis.of(GRID, axis, tolerance=TOLERANCE, jitter=0.0).ask(
            boxes[:, axis], boxes[:, 2 + axis], places if axis == along else places * 0
        )
        for axis in (0, 1)
    )
    a, b, _ = Views(GRID, seen, by_column, by_row, TOLERANCE, TOLERANCE).pairs(Matching())
    return sorted(zip(a.tolist(), b.tolist(), strict=True))


@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize(
    "rows",
    [
        [(0, 40, 64), (1, 48, 70)],
        # One tile saw a little less of it than the other's end has.
        [(0, 52, 64), (1, 48, 70)],
        [(0, 40, 64), (1, 48, 60)],
        [(1, 100, 112), (2, 96, 118)],
    ],
)
def test_views_that_go_on_into_each_others_tile_are_of_one_object(rows, along):
    """All of them end where their tiles do across the axis, too."""
    assert pairs(*rows, along=along, across=(40, 64)) == [(0, 1)]


@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize(
    "rows",
    [
        # One ends within the other's tile: it left nothing to that.
        [(0, 40, 59), (1, 51, 112)],
        [(1, 49, 107), (2, 99, 120)],
        # Two tiles away.
        [(0, 40, 64), (2, 96, 118)],
    ],
)
def test_views_that_end_before_each_others_tile_are_not(rows, along):
    assert pairs(*rows, along=along) == []
