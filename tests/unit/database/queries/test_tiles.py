"""Tests of vector tiles on a real PostGIS."""

import pytest

from swath.database.load import load_run
from swath.database.queries import DetectionFilter, Tile, draw_tile
from swath.errors import InputError
from tests.helpers.runs import run_request


def test_every_zoom_shows_every_detection(connection, merged):
    load_run(connection, run_request(), merged(100))
    for zoom in range(8):
        side = 1 << zoom
        tiles = (
            [
                draw_tile(connection, zoom, x, y, DetectionFilter())
                for x in range(side // 2, side)
                for y in (max(side // 2 - 1, 0),)
            ]
            if zoom
            else [draw_tile(connection, 0, 0, 0, DetectionFilter())]
        )
        assert sum(tile.rows for tile in tiles) == sum(tile.shown for tile in tiles) == 100


def test_a_tile_without_a_detection_is_empty(connection):
    for zoom in (0, 9, 14):
        assert draw_tile(connection, zoom, 0, 0, DetectionFilter()) == Tile(b"", 0, 0)


@pytest.mark.parametrize("tile", [(-1, 0, 0), (25, 0, 0), (3, 8, 0), (3, 0, 8), (3, -1, 0)])
def test_a_tile_that_does_not_exist_is_refused(connection, tile):
    with pytest.raises(InputError, match="zoom"):
        draw_tile(connection, *tile, DetectionFilter())


def test_a_box_without_the_center_of_a_cell_is_empty(connection, merged):
    load_run(connection, run_request(), merged(100))
    asked = DetectionFilter(bbox=(0.5, 0.5, 0.5001, 0.5001))
    for zoom in (0, 7):
        column = 1 << zoom >> 1
        assert draw_tile(connection, zoom, column, max(column - 1, 0), asked).rows == 0
