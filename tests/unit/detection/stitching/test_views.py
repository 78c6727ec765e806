"""Tests of pairs of views by two adjacent tiles: they may be of one object or not."""

import numpy as np
import pytest
import shapely

from swath.detection.detections import Detections
from swath.detection.stitching.ownership import Axis
from swath.detection.stitching.views import TileViews
from swath.models.nms_options import NmsOptions
from swath.raster.tiles import Grid

# Tiles span 0 to 64, 48 to 112 and 96 to 160 along each axis.
GRID = Grid(width=160, height=160, size=64, overlap=16)
TOLERANCE = 2.0


def pairs_of(boxes, tiles, *, outlined=False, outlines=None):
    """Return the pairs among boxes (n, 4), seen by the tiles (column, row) of the same index."""
    boxes, places = np.array(boxes, np.float64), np.array(tiles)
    if outlined:
        outlines = shapely.box(*boxes.T)
    seen = [
        Detections.from_tile(
            boxes[[row]],
            np.ones(1, np.float32),
            np.zeros(1, np.int16),
            int(down * GRID.columns + across),
            None if outlines is None else outlines[[row]],
        )
        for row, (across, down) in enumerate(places)
    ]
    by_column, by_row = (
        Axis.from_grid(GRID, axis, tolerance=TOLERANCE, jitter=0.0).classify(
            boxes[:, axis], boxes[:, 2 + axis], places[:, axis]
        )
        for axis in (0, 1)
    )
    views = TileViews(GRID, Detections.concatenate(seen), by_column, by_row, TOLERANCE, TOLERANCE)
    a, b, _ = views.pairs(NmsOptions())
    return sorted(zip(a.tolist(), b.tolist(), strict=True))


def pairs(*rows, along, across=(5, 30), outlined=False):
    """Return the pairs among views (tile position, low, high) along an axis, alike across it."""
    places, low, high = (np.array(column) for column in zip(*rows, strict=True))
    boxes = np.repeat(np.array([across], np.float64), 2, axis=1).repeat(len(rows), axis=0)
    boxes[:, along], boxes[:, 2 + along] = low, high
    tiles = np.zeros((len(rows), 2), int)
    tiles[:, along] = places
    return pairs_of(boxes, tiles, outlined=outlined)


@pytest.mark.parametrize("outlined", [False, True])
@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize(
    "rows",
    [
        [(0, 40, 64), (1, 48, 70)],
        # One tile saw slightly less of the object than the other tile's view has.
        [(0, 52, 64), (1, 48, 70)],
        [(0, 40, 64), (1, 48, 60)],
        [(1, 100, 112), (2, 96, 118)],
    ],
)
def test_views_that_go_on_into_each_others_tile_are_of_one_object(rows, along, outlined):
    """Check views that also end at their tile's border across the axis."""
    assert pairs(*rows, along=along, across=(40, 64), outlined=outlined) == [(0, 1)]


@pytest.mark.parametrize("outlined", [False, True])
@pytest.mark.parametrize("along", [0, 1])
@pytest.mark.parametrize(
    "rows",
    [
        # One view ends inside the other tile: it does not continue there.
        [(0, 40, 59), (1, 51, 112)],
        [(1, 49, 107), (2, 99, 120)],
        # The tiles are not adjacent.
        [(0, 40, 64), (2, 96, 118)],
    ],
)
def test_views_that_end_before_each_others_tile_are_not(rows, along, outlined):
    assert pairs(*rows, along=along, outlined=outlined) == []


DIAGONAL = [(0, 0), (1, 1)]


@pytest.mark.parametrize("outlined", [False, True])
def test_tiles_at_a_corner_agree_on_what_one_between_them_holds_and_did_not_see(outlined):
    boxes = [(51, 20, 64, 60), (51, 48, 70, 60)]

    assert pairs_of(boxes, DIAGONAL, outlined=outlined) == [(0, 1)]


def test_boxes_of_an_object_that_no_tile_holds_are_left_to_the_tiles_between():
    boxes = [(20, 20, 64, 60), (48, 48, 90, 60)]

    assert pairs_of(boxes, DIAGONAL) == []
    assert pairs_of(boxes, DIAGONAL, outlined=True) == [(0, 1)]


def test_an_outline_that_leaves_its_tile_elsewhere_goes_on_into_no_other():
    """Check an outline whose box alone continues: its arm above the overlap ends at the border."""
    angle = shapely.union(shapely.box(51, 20, 60, 60), shapely.box(51, 20, 64, 25))
    outlines = np.array([angle, shapely.box(51, 48, 60, 60)])

    assert pairs_of(shapely.bounds(outlines), DIAGONAL, outlines=outlines) == []
