"""Tests of scenes of several files: tiles as a stream, each block once, faults tile by tile."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine

from swath import storage
from swath.errors import SceneChangedError, SceneError
from swath.raster.assets import tiles as stack_tiles
from swath.raster.empty_tiles import detect_empty_tiles
from swath.raster.reader import block_cache, memory_check, read_tile, read_tiles
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.band_files import TILES, open_stack, texture
from tests.helpers.reading import watched
from tests.helpers.warping import METHODS, image, warped

NAMES = ("B02", "B05", "B01")


def assert_same(scene, grid, bands, numbers):
    """Every tile of the stream has the pixels and the validity of its window."""
    for number, got in zip(numbers, read_tiles(scene, grid, bands, numbers), strict=True):
        assert got.error is None
        assert got.tile == grid.tile(int(number))
        pixels, valid = scene.read_layers(got.tile.window, bands)
        np.testing.assert_array_equal(got.pixels, pixels)
        shape = pixels.shape[1:]
        np.testing.assert_array_equal(
            np.broadcast_to(np.True_ if got.valid is None else got.valid, shape),
            valid.pixel_mask(shape),
        )
        np.testing.assert_array_equal(
            np.broadcast_to(np.True_ if got.input_mask is None else got.input_mask, pixels.shape),
            np.broadcast_to(
                np.True_ if valid.input_mask is None else valid.input_mask, pixels.shape
            ),
        )
        np.testing.assert_array_equal(
            scene.read_valid(got.tile.window, bands), valid.pixel_mask(shape)
        )


@pytest.mark.parametrize("method", METHODS)
def test_tiles_are_those_of_gdals_warper(three_resolutions, method):
    with open_stack(three_resolutions, NAMES, resampling=method) as opened:
        scene, info = opened.scene, opened.scene.info
        assert (info.width, info.height, info.count) == (360, 240, 3)
        assert info.dtype == ("uint16" if method == "nearest" else "float32")
        grid = Grid(360, 240, 64, 16)
        assert_same(scene, grid, opened.bands, range(grid.count))
        whole, valid = scene.read((0, 0, 360, 240), opened.bands)

    assert valid.all()
    target = image(360, 240, info.transform, info.crs)
    for layer, path in zip(whole, three_resolutions, strict=True):
        with rasterio.open(path) as file:
            asset = image(file.width, file.height, file.transform, file.crs)
            expected, _ = warped(file.read(1), asset, target, method)
        if method != "cubic":  # GDAL's rounding decides where it interpolates linearly
            np.testing.assert_allclose(layer, expected, rtol=1e-6)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(data=st.data())
def test_any_tiles_of_files_with_gaps(write_band, data):
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    gaps = texture(100, 80)
    gaps[rng.random(gaps.shape) < 0.1] = 0
    fine = write_band("B02", gaps, 10, nodata=0, **TILES)
    mask = rng.random((45, 52)) > 0.2
    shift = data.draw(st.sampled_from([(0, 0), (-35, 20), (47.5, -3)]))
    coarse = write_band("B05", texture(52, 45, "int16"), 20, shift=shift, mask=mask, **TILES)
    method = data.draw(st.sampled_from(METHODS))
    size = data.draw(st.integers(8, 110))
    grid = Grid(100, 80, size, data.draw(st.integers(0, min(size - 1, 40))))
    columns = sorted(data.draw(st.sets(st.integers(0, grid.columns - 1), min_size=1, max_size=4)))
    rows = sorted(data.draw(st.sets(st.integers(0, grid.rows - 1), min_size=1, max_size=4)))
    numbers = np.array([row * grid.columns + column for row in rows for column in columns])

    with open_stack([fine, coarse], ("B05", "B02"), resampling=method) as opened:
        assert opened.scene.info.masked
        bands = data.draw(st.sampled_from([[1, 2], [2, 1], [2], [1]]))
        assert_same(opened.scene, grid, bands, numbers)


@pytest.mark.parametrize("overlap", [0, 24])
def test_each_block_is_decoded_once(three_resolutions, monkeypatch, overlap):
    decoded = []
    original = block_cache.BlockCache._decode

    def note(self, rows):
        decoded.extend((id(self), row.row, column) for row in rows for column in row.columns)
        original(self, rows)

    monkeypatch.setattr(block_cache.BlockCache, "_decode", note)
    with open_stack(three_resolutions, NAMES) as opened, watched() as sources:
        grid = Grid(360, 240, 64, overlap)
        assert all(
            tile.error is None
            for tile in read_tiles(opened.scene, grid, opened.bands, range(grid.count))
        )

    assert sources.names == {"GeoTiffBlocks"}
    assert not sources.alone
    assert len(decoded) == len(set(decoded)) == 12 * 8 + 6 * 4 + 2 * 2


def test_memory_does_not_grow_with_the_height(write_band):
    def peak(height):
        paths = [
            write_band(f"B0{i}", np.ones((height // i, 256 // i), np.uint16), 10 * i, **TILES)
            for i in (1, 2)
        ]
        with open_stack(paths, ("B01", "B02")) as opened:
            grid = Grid(256, height, 64, 16)
            tracemalloc.start()
            for tile in read_tiles(opened.scene, grid, opened.bands, range(grid.count)):
                assert tile.error is None
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return most

    assert peak(4096) < 1.5 * peak(512) + (1 << 20)


@pytest.mark.parametrize("kind", ["strips", "jp2"])
def test_files_that_gdal_reads(write_band, kind):
    profile = {"driver": "JP2OpenJPEG", "REVERSIBLE": "YES"} if kind == "jp2" else {}
    paths = [
        write_band("B02", texture(120, 90), 10, **profile),
        write_band("B05", texture(60, 45), 20, **profile),
    ]
    with open_stack(paths, ("B02", "B05")) as opened:
        grid = Grid(120, 90, 50, 10)
        assert_same(opened.scene, grid, opened.bands, range(grid.count))


def test_a_damaged_block_fails_only_its_own_tiles(three_resolutions):
    path = Path(three_resolutions[1])
    with rasterio.open(path) as file:
        assert file.shape == (120, 180)
        offset = int(file.get_tag_item("BLOCK_OFFSET_0_0", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset + 20 : offset + 60] = b"\xff" * 40
    path.write_bytes(content)
    grid = Grid(360, 240, 64, 0)

    with open_stack(three_resolutions, NAMES) as opened:
        tiles = list(read_tiles(opened.scene, grid, opened.bands, range(grid.count)))
        failed = [tile.tile.index for tile in tiles if tile.error]
        alone = read_tile(opened.scene, grid.tile(0), opened.bands)

    # The block has 32 x 32 px of 20 m, and bilinear weights reach one pixel of 10 m beyond it.
    assert failed == [0, 1, grid.columns, grid.columns + 1]
    assert isinstance(tiles[0].error, SceneError)
    assert str(path) in str(tiles[0].error)
    assert alone.pixels is None


def test_a_file_replaced_during_the_read_ends_it(three_resolutions):
    path = Path(three_resolutions[2])
    grid = Grid(360, 240, 64, 0)
    with open_stack(three_resolutions, NAMES) as opened:
        os.utime(path, ns=(1, 1))
        path.write_bytes(path.read_bytes() + b"\0")
        with pytest.raises(SceneChangedError, match=str(path)):
            list(read_tiles(opened.scene, grid, opened.bands, range(grid.count)))


def test_memory_of_all_files_adds_up(three_resolutions, monkeypatch):
    asked = []

    def note(dataset, need, limit):
        asked.append(need.shared_bytes)
        return limit

    monkeypatch.setattr("swath.raster.reader.workers.fit_threads", note)
    with open_stack(three_resolutions, NAMES) as opened:
        grid = Grid(360, 240, 64, 0)
        next(read_tiles(opened.scene, grid, opened.bands, range(grid.count)))
        windows = grid.windows(range(grid.count))
        need = opened.scene.memory_need(opened.bands, windows)
        single = memory_check.file_memory_need(opened.scene.files[0], 1, windows)

    assert asked == sorted(asked)
    assert len(set(asked)) == 4
    assert asked[0] == stack_tiles._TILES_IN_MEMORY * 3 * 64 * 64 * 4
    assert need.shared_bytes > single.shared_bytes > 0


def test_too_little_memory_is_refused_before_anything_is_decoded(three_resolutions, monkeypatch):
    monkeypatch.setattr(memory_check, "free_memory", lambda: 1000)
    grid = Grid(360, 240, 64, 0)
    with open_stack(three_resolutions, NAMES) as opened, pytest.raises(SceneError, match="memory"):
        next(read_tiles(opened.scene, grid, opened.bands, range(grid.count)))


def test_a_scene_outside_a_coarse_asset_has_empty_tiles(write_band):
    gaps = texture(128, 64)
    gaps[:, :64] = 0
    paths = [
        write_band("B02", gaps, 10, nodata=0, **TILES),
        write_band("B05", texture(32, 32), 20, shift=(640, 0), **TILES),
    ]
    with open_stack(paths, ("B02", "B05")) as opened:
        empty = detect_empty_tiles(opened.scene, Grid(128, 64, 32, 0), opened.bands)

    assert empty.reshape(2, 4).tolist() == [[True, True, False, False]] * 2


def test_a_small_picture_has_all_bands_at_the_same_position(write_band):
    fine = np.zeros((80, 120), np.uint8)
    fine[20:40, 60:80] = 200
    coarse = np.zeros((30, 40), np.uint8)
    coarse[10:20, 25:35] = 200  # its origin lies 100 m to the right
    paths = [write_band("B02", fine, 10), write_band("B05", coarse, 20, shift=(100, 0))]
    with open_stack(paths, ("B02", "B05")) as opened:
        pixels, valid = opened.scene.read_reduced((8, 12), opened.bands)

    np.testing.assert_array_equal(pixels[0], pixels[1])
    assert valid[0].all()
    assert valid[1].sum() == 6 * 8


def test_windows_outside_the_scene_are_refused(three_resolutions):
    with open_stack(three_resolutions, NAMES) as opened, pytest.raises(ValueError, match="window"):
        opened.scene.read((350, 0, 20, 20), opened.bands)


def test_one_grid_has_the_pixels_and_the_type_of_the_stacked_file(write_band, tmp_path):
    bands = [texture(100, 70, seed=i) for i in range(3)]
    for band in bands:
        band[:9] = 0
    bands[1][30:40, 30:40] = 0
    stacked = write_band("stacked", np.stack(bands), nodata=0, **TILES)
    paths = [write_band(f"B0{i}", band, nodata=0, **TILES) for i, band in enumerate(bands, 2)]
    grid = Grid(100, 70, 48, 16)

    with open_stack(paths, ("B02", "B03", "B04")) as opened, open_scene(stacked) as scene:
        assert opened.scene.info.dtype == scene.info.dtype == "uint16"
        both = [
            list(read_tiles(one, grid, [1, 2, 3], range(grid.count)))
            for one in (opened.scene, scene)
        ]

    for got, expected in zip(*both, strict=True):
        np.testing.assert_array_equal(got.pixels, expected.pixels)
        for name in ("valid", "valid_bands"):
            one, other = getattr(got, name), getattr(expected, name)
            assert (one is None) == (other is None)
            if one is not None:
                np.testing.assert_array_equal(one, other)


def test_files_on_s3_and_their_etags(http_bucket, three_resolutions):
    uris = []
    for path in three_resolutions:
        uris.append(f"{http_bucket}/{Path(path).name}")
        storage.write_bytes(uris[-1], Path(path).read_bytes())
    grid = Grid(360, 240, 100, 20)
    with open_stack(uris, NAMES) as opened, open_stack(three_resolutions, NAMES) as local:
        assert [asset.etag for asset in opened.stack.assets] == [storage.etag(uri) for uri in uris]
        assert opened.scene.etag != local.scene.etag
        for got, expected in zip(
            read_tiles(opened.scene, grid, opened.bands, range(grid.count)),
            read_tiles(local.scene, grid, local.bands, range(grid.count)),
            strict=True,
        ):
            np.testing.assert_array_equal(got.pixels, expected.pixels)


def test_rotated_files_share_a_grid_or_are_refused(write_band):
    turned = Affine(8, 6, 500_000, 6, -8, 5_000_000)
    one = write_band("B02", texture(50, 40), transform=turned)
    same = write_band("B03", texture(50, 40), transform=turned)
    other = write_band("B04", texture(25, 20), 20)
    with open_stack([one, same], ("B02", "B03")) as opened:
        assert opened.scene.info.dtype == "uint16"
        assert opened.scene.info.transform == turned
    with (
        pytest.raises(SceneError, match=r"rotated or mirrored.*gdalwarp"),
        open_stack([one, other], ("B02", "B04")),
    ):
        pass
