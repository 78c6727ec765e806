"""Tests that tiles have the detections where they are, as GDAL reads them."""

import pyogrio
import pytest
from rasterio.warp import transform

from swath.database.load import load_run
from swath.database.queries import DetectionFilter, draw_tile
from tests.helpers.runs import run_request

ROWS = 100
"""Boxes of one degree, the first from 0° to 1° east, all from 0° to 1° north."""


@pytest.mark.parametrize(("zoom", "bins"), [(0, 64), (8, 128)])
def test_points_are_where_the_detections_are(connection, merged, tmp_path, zoom, bins):
    load_run(connection, run_request(), merged(ROWS))
    column = 1 << zoom >> 1
    row = max(column - 1, 0)
    tile = draw_tile(connection, zoom, column if zoom else 0, row, DetectionFilter())
    path = tmp_path / "tile.mvt"
    path.write_bytes(tile.mvt)

    frame = pyogrio.read_dataframe(path, layer="detections", X=column if zoom else 0, Y=row, Z=zoom)
    longitudes, latitudes = transform(
        "EPSG:3857", "EPSG:4326", list(frame.geometry.x), list(frame.geometry.y)
    )

    size = 360 / (1 << zoom) / bins
    east = min(ROWS, 360 / (1 << zoom))
    centers = [number + 0.5 for number in range(ROWS) if number + 0.5 < east]
    assert sum(frame["count"]) == len(centers)
    assert all(min(abs(x - each) for each in centers) <= size for x in longitudes)
    assert all(abs(y - 0.5) <= size for y in latitudes)
    assert all(min(abs(x - each) for x in longitudes) <= size for each in centers)
