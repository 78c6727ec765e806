"""Tests of tiles without a valid pixel: the exact set is detected, and read in bands."""

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.raster.empty_tiles import detect_empty_tiles
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.rasters import sparse


def test_a_scene_where_all_is_valid_is_not_read(make_scene, monkeypatch):
    with open_scene(make_scene(np.ones((1, 300, 500), "uint8"))) as scene:
        monkeypatch.delattr("swath.raster.scene.Scene.read_valid")
        assert detect_empty_tiles(scene, Grid(500, 300, 64, 16), [1]) is None


def test_a_scene_too_large_to_search_is_not_read(make_scene, monkeypatch):
    monkeypatch.setattr("swath.raster.empty_tiles.MAX_SEARCHED_PIXELS", 300 * 500 - 1)
    with open_scene(make_scene(np.zeros((1, 300, 500), "uint8"), nodata=0)) as scene:
        monkeypatch.delattr("swath.raster.scene.Scene.read_valid")
        assert detect_empty_tiles(scene, Grid(500, 300, 64, 16), [1]) is None


def test_no_more_than_a_band_of_rows_is_read_at_once(tmp_path, monkeypatch):
    windows = []
    with open_scene(sparse(tmp_path / "x.tif", side=5000, nodata=0)) as scene:
        valid = type(scene).read_valid

        def spy(self, window, bands):
            windows.append(window)
            return valid(self, window, bands)

        monkeypatch.setattr(type(scene), "read_valid", spy)
        empty = detect_empty_tiles(scene, Grid(5000, 5000, 256, 64), [1])

    assert empty.all()
    assert max(height for _, _, _, height in windows) == 512
    assert sum(width * height for _, _, width, height in windows) == 5000**2


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(data=st.data())
def test_exactly_the_tiles_without_a_valid_pixel_are_empty(make_scene, monkeypatch, data):
    height, width = data.draw(st.integers(1, 90)), data.draw(st.integers(1, 90))
    pixels = np.zeros((1, height, width), "uint8")
    for _ in range(data.draw(st.integers(0, 4))):
        pixels[0, data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))] = 1
    size = data.draw(st.integers(4, 40))
    grid = Grid(width, height, size, data.draw(st.integers(0, size - 1)))
    monkeypatch.setattr(
        "swath.raster.empty_tiles._PIXELS_PER_READ", data.draw(st.integers(1, 4000))
    )

    with open_scene(make_scene(pixels, nodata=0)) as scene:
        found = detect_empty_tiles(scene, grid, [1])

    windows = grid.windows(np.arange(grid.count))
    expected = [not pixels[0, y : y + h, x : x + w].any() for x, y, w, h in windows]
    assert (np.zeros(grid.count, bool) if found is None else found).tolist() == expected
