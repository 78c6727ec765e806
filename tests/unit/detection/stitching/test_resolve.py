"""Tests of the verdicts on groups of views: each view is retained, joined or dropped."""

import numpy as np
import pytest

from swath.detection.detections import Detections
from swath.detection.stitching.ownership import Axis
from swath.detection.stitching.resolve import resolve_groups
from swath.detection.stitching.views import TileViews
from swath.raster.tiles import Grid

# Three tiles lie side by side, 0 to 64, 48 to 112 and 96 to 160. Their cores meet at 56 and 104.
GRID = Grid(width=160, height=64, size=64, overlap=16)
TOLERANCE = 2.0


def views(*rows):
    """Return views from rows of (tile, x0, y0, x1, y1, score)."""
    table = np.array(rows, np.float64)
    seen = Detections.concatenate(
        [
            Detections.from_tile(
                table[[row], 1:5], np.float32(table[[row], 5]), np.zeros(1, np.int16), int(tile)
            )
            for row, tile in enumerate(table[:, 0])
        ]
    )
    x, y = (
        Axis.from_grid(GRID, axis, tolerance=TOLERANCE, jitter=0.0).classify(
            table[:, 1 + axis], table[:, 3 + axis], seen.tile if axis == 0 else seen.tile * 0
        )
        for axis in (0, 1)
    )
    return TileViews(GRID, seen, x, y, TOLERANCE, TOLERANCE)


def decided(*rows):
    unchanged, joined = resolve_groups(views(*rows), np.zeros(len(rows), np.int64))
    return sorted(unchanged.tolist()), sorted(joined.tolist())


WHOLE = (1, 60, 10, 80, 30, 0.9)
"""A complete view by its owner tile."""


def test_an_owners_view_covers_what_others_saw_of_the_same():
    clipped = (0, 60, 10, 64, 30, 0.8)

    assert decided(WHOLE, clipped) == ([0], [])


@pytest.mark.parametrize(("side", "shift"), [(0, 5), (1, -5), (1, 5), (2, 5), (3, -5), (3, 5)])
def test_an_owners_view_that_differs_at_one_side_is_another_object(side, shift):
    """Check views that both tiles own: they are one object only if all sides agree."""
    one = (0, 50, 10, 61, 30, 0.9)
    other = [1, 51, 10, 62, 30, 0.8]
    assert decided(one, other) == ([0], [])

    other[1 + side] += shift

    assert decided(one, other) == ([0, 1], [])


def test_parts_that_a_whole_view_of_their_chain_does_not_cover_are_joined():
    """Check a chain of similar views: the small object beside the long one remains."""
    left, right = (0, 5, 40, 64, 60, 0.7), (1, 48, 40, 100, 60, 0.6)

    assert decided(WHOLE, left, right) == ([0], [1, 2])
    assert decided(left, right) == ([], [0, 1])


def test_a_part_within_a_whole_view_is_no_part_of_another():
    left, within = (0, 5, 40, 64, 60, 0.7), (0, 60, 10, 64, 30, 0.8)

    assert decided(WHOLE, left, within) == ([0], [1])
