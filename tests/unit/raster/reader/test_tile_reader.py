"""Tests of tiles as a stream: equal to window reads, for every kind of scene and of fault."""

import threading

import numpy as np
import pytest
import rasterio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath import storage
from swath.errors import SceneChangedError, SceneError, SwathError, TransientError
from swath.raster.dataset import PinnedDataset
from swath.raster.reader import read_tiles
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.rasters import real_files
from tests.helpers.reading import assert_reads_same, assert_same, image_bands, watched

RASTERS = (".tif", ".tiff", ".jp2", ".ntf")
REAL = [
    f"{folder}/{file}"
    for folder in ("scenes", "ships_s2", "buildings_oam", "trees_neon")
    for file in real_files(folder)
    if file.endswith(RASTERS)
] + [f"trees_naip/{file}" for file in real_files("trees_naip") if file.endswith(RASTERS)][:2]
THROUGH_GDAL = {
    "scenes/sentinelhub/img-15bit.jp2",
    "scenes/sentinelhub/img-8bit.jp2",
    "trees_neon/5dded5bc0140b80006d2e565_23.tif",
}
"""Real scenes that are not TIFF, or have JPEG strips."""
COMPLEX = {
    "scenes/rio-cogeo/slc.tif",
    "scenes/solaris_spacenet/sar_vh.tif",
    "scenes/solaris_spacenet/sar_vv.tif",
}


def noise(count=3, height=300, width=400, dtype="uint8"):
    return np.random.default_rng(3).integers(0, 255, (count, height, width)).astype(dtype)


def readers():
    """Return the threads of readers that have not ended."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("swath-")]


TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "pixel"}
COG = TILED | {"compress": "deflate", "predictor": 2}


@pytest.mark.parametrize("file", [file for file in REAL if file not in COMPLEX])
def test_real_scenes(data, file):
    with watched() as sources, open_scene(str(data / file)) as scene:
        bands, info = image_bands(scene.info)[:13], scene.info
        for size, overlap in ((640, 64), (200, 39)):
            grid = Grid(info.width, info.height, size, overlap)
            right = range(grid.columns // 3, grid.columns)
            numbers = [row * grid.columns + column for row in range(grid.rows) for column in right]
            assert_same(scene, grid, bands, numbers)
        assert_same(scene, grid, bands[:-3:-1], numbers[: grid.columns])

    assert sources.names == {"RowGroups" if file in THROUGH_GDAL else "GeoTiffBlocks"}
    assert not sources.alone


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(data=st.data())
def test_any_grid_and_any_rectangle_of_it(make_scene, data):
    tiled = data.draw(st.sampled_from([TILED, COG, {"compress": "lzw", "blockysize": 7}]))
    path = make_scene(noise(2, 90, 110), **tiled, nodata=data.draw(st.sampled_from([None, 3])))
    size = data.draw(st.integers(8, 130))
    grid = Grid(110, 90, size, data.draw(st.integers(0, min(size - 1, 60))))
    columns = data.draw(st.sets(st.integers(0, grid.columns - 1), min_size=1, max_size=5))
    rows = data.draw(st.sets(st.integers(0, grid.rows - 1), min_size=1, max_size=5))
    numbers = [row * grid.columns + column for row in sorted(rows) for column in sorted(columns)]

    with open_scene(path) as scene:
        assert_same(scene, grid, data.draw(st.permutations([1, 2])), np.array(numbers))


def test_no_tiles(make_scene):
    with open_scene(make_scene(noise())) as scene:
        assert not list(read_tiles(scene, Grid(400, 300, 100, 0), [1], []))


@pytest.mark.parametrize("driver", ["JP2OpenJPEG", "NITF"])
def test_other_formats(make_scene, driver):
    options = {"REVERSIBLE": "YES"} if driver == "JP2OpenJPEG" else {"ICORDS": "N"}
    path = make_scene(noise(), driver=driver, name="scene.x", **options)

    with watched() as sources:
        assert_reads_same(path)

    assert sources.names == {"RowGroups"}
    assert not sources.alone


def test_strips_are_read_once_by_several_threads(make_scene, monkeypatch):
    read = []

    def note(self, window, bands):
        read.append((window.row_off, window.row_off + window.height))
        return original(self, window, bands)

    original = PinnedDataset.read
    path = make_scene(noise(1, 2000, 50), compress="lerc")
    with open_scene(path) as scene:
        monkeypatch.setattr(PinnedDataset, "read", note)
        grid = Grid(50, 2000, 50, 20)
        tiles = list(read_tiles(scene, grid, [1], range(grid.count), threads=3))

    assert all(tile.error is None for tile in tiles)
    ends = sorted(read)
    assert (ends[0][0], ends[-1][1]) == (0, 2000)
    assert [end for _, end in ends[:-1]] == [start for start, _ in ends[1:]]


class TestValid:
    @pytest.mark.parametrize("profile", [COG, {}])
    @pytest.mark.parametrize("dtype", ["uint8", "float32"])
    def test_nodata_value(self, make_scene, profile, dtype):
        pixels = noise(dtype=dtype) % 3
        path = make_scene(
            pixels, nodata=1, **{k: v for k, v in profile.items() if k != "predictor"}
        )

        assert_reads_same(path)
        assert_reads_same(path, bands=[2])

    def test_nodata_values_that_cannot_be(self, make_scene):
        assert_reads_same(make_scene(noise(dtype="float32"), nodata=-1e38, **TILED))
        assert_reads_same(make_scene(noise(dtype="int16"), nodata=-32768, **TILED))

    def test_nan(self, make_scene):
        pixels = noise(dtype="float32")
        pixels[pixels < 60] = np.nan
        pixels[pixels > 200] = np.inf

        for nodata in (None, np.nan, 100):
            assert_reads_same(make_scene(pixels, nodata=nodata, **TILED))

    @pytest.mark.parametrize("profile", [COG, {}])
    def test_a_mask_within_the_file(self, make_scene, profile):
        mask = np.random.default_rng(1).integers(0, 2, (300, 400), "uint8") * 255

        assert_reads_same(make_scene(noise(), mask=mask, **profile))

    def test_a_mask_of_floats(self, make_scene):
        pixels = noise(dtype="float32")
        pixels[pixels < 60] = np.nan
        mask = np.random.default_rng(1).integers(0, 2, (300, 400), "uint8") * 255

        assert_reads_same(make_scene(pixels, mask=mask, **TILED))

    @pytest.mark.parametrize("mask_profile", [COG, {}])
    def test_a_mask_beside_the_file(self, make_scene, mask_profile):
        path = make_scene(noise(), nodata=1, **COG)
        mask = np.random.default_rng(1).integers(0, 2, (1, 300, 400), "uint8") * 255
        make_scene(mask, name="scene.tif.msk", **mask_profile)

        assert_reads_same(path)

    def test_all_valid_is_told_by_none(self, make_scene):
        with open_scene(make_scene(noise() // 2 + 1, nodata=0, **COG)) as scene:
            tiles = list(read_tiles(scene, Grid(400, 300, 100, 0), [1, 2], range(12)))

        assert all(tile.valid is None for tile in tiles)


class TestThreads:
    def test_end_with_the_iterator(self, make_scene):
        with open_scene(make_scene(noise(), **COG)) as scene:
            tiles = read_tiles(scene, Grid(400, 300, 100, 0), [1], range(12))
            next(tiles)
            assert readers()
            tiles.close()

        assert not readers()

    def test_do_not_start_before_the_first_tile_is_asked_for(self, make_scene):
        with open_scene(make_scene(noise(), **COG)) as scene:
            tiles = read_tiles(scene, Grid(400, 300, 100, 0), [1], range(12))
            assert not readers()
            tiles.close()

    def test_what_was_given_stays_as_it_is(self, make_scene):
        pixels = noise()
        grid = Grid(400, 300, 100, 10)
        with open_scene(make_scene(pixels, **COG)) as scene:
            tiles = list(read_tiles(scene, grid, [1, 2, 3], range(grid.count)))

        for tile in tiles:
            x, y, width, height = tile.tile.window
            expected = pixels[:, y : y + height, x : x + width]
            np.testing.assert_array_equal(tile.pixels, expected)


class TestDamage:
    def places(self, path):
        """Return the offset and the length of each block of a scene with one plane."""
        with rasterio.open(path) as source:
            down, across = -(-source.height // 64), -(-source.width // 64)
            return {
                (row, column): tuple(
                    int(source.get_tag_item(f"BLOCK_{what}_{column}_{row}", "TIFF", bidx=1))
                    for what in ("OFFSET", "SIZE")
                )
                for row in range(down)
                for column in range(across)
            }

    def damage(self, path, offset, content):
        with open(path, "r+b") as file:  # noqa: PTH123 (in place)
            file.seek(offset)
            file.write(content)

    @pytest.mark.parametrize("compress", ["deflate", "zstd", "lzw"])
    def test_fails_the_tiles_that_it_touches_and_no_others(self, make_scene, compress):
        path = make_scene(noise(), **(COG | {"compress": compress}))
        offset, length = self.places(path)[2, 3]
        self.damage(path, offset + 2, b"\xff" * (length - 2))

        grid = Grid(400, 300, 50, 10)
        with open_scene(path) as scene:
            tiles = list(read_tiles(scene, grid, [1, 2], range(grid.count), threads=2))

        for tile in tiles:
            x, y, width, height = tile.tile.window
            if x < 256 and x + width > 192 and y < 192 and y + height > 128:
                assert isinstance(tile.error, SceneError)
                assert path in str(tile.error)
                assert f"at x {x}, y {y}" in str(tile.error)
                assert tile.pixels is tile.valid is None
            else:
                assert tile.error is None

    def test_a_block_beyond_the_end_of_the_file(self, make_scene):
        path = make_scene(noise(), **COG)
        offset, _ = self.places(path)[4, 6]
        with open(path, "r+b") as file:  # noqa: PTH123 (in place)
            file.truncate(offset + 10)

        assert_reads_same(path)

    @pytest.mark.parametrize("file", real_files("corrupt"))
    def test_broken_files_are_told_as_gdal_tells_them(self, data, file):
        try:
            with open_scene(str(data / "corrupt" / file)) as scene:
                bands = list(range(1, scene.info.count + 1))
                grid = Grid(scene.info.width, scene.info.height, 256, 32)
                assert_same(scene, grid, bands, range(min(20, grid.count)))
        except SwathError:
            pass

    def test_a_file_that_is_replaced(self, make_scene):
        path = make_scene(noise(), **COG)
        with open_scene(path) as scene:
            make_scene(noise() + 1, **COG)
            with pytest.raises(SceneChangedError, match="replaced"):
                list(read_tiles(scene, Grid(400, 300, 100, 0), [1], range(12)))

    def test_a_file_that_is_gone(self, make_scene, tmp_path):
        with open_scene(make_scene(noise(), **COG)) as scene:
            (tmp_path / "scene.tif").unlink()
            with pytest.raises(SceneChangedError, match="replaced"):
                list(read_tiles(scene, Grid(400, 300, 100, 0), [1], range(12)))


class TestOnS3:
    @pytest.fixture
    def uri(self, http_bucket, make_scene):
        uri = storage.join(http_bucket, "x.tif")
        storage.copy(make_scene(noise(3, 600, 400, "uint16"), **COG), uri)
        return uri

    def test_is_the_same(self, uri):
        assert_reads_same(uri)

    def test_a_scene_for_gdal_is_the_same(self, http_bucket, make_scene):
        uri = storage.join(http_bucket, "x.tif")
        storage.copy(make_scene(noise()), uri)

        assert_reads_same(uri)

    def test_one_request_for_a_block_row(self, uri, monkeypatch):
        asked = []

        def get_object(**options):
            asked.append(options)
            return original(**options)

        client = storage.s3()
        original = client.get_object
        grid = Grid(400, 600, 100, 20)
        with open_scene(uri) as scene:
            monkeypatch.setattr(client, "get_object", get_object)
            list(read_tiles(scene, grid, [1, 2, 3], range(grid.count)))

        assert len(asked) == -(-600 // 64)
        assert {options["IfMatch"] for options in asked} == {f'"{storage.etag(uri)}"'}
        spans = [options["Range"].removeprefix("bytes=").split("-") for options in asked]
        read = sum(int(last) - int(first) + 1 for first, last in spans)
        assert read <= 1.05 * storage.status(uri).size

    def test_nothing_more_is_fetched_when_nobody_takes_it(self, uri, monkeypatch):
        client, asked = storage.s3(), []
        original = client.get_object

        def get_object(**options):
            asked.append(options)
            return original(**options)

        with open_scene(uri) as scene:
            monkeypatch.setattr(client, "get_object", get_object)
            monkeypatch.setattr("swath.raster.reader.block_cache.MAX_PREFETCHED_ROWS", 1)
            tiles = read_tiles(scene, Grid(400, 600, 100, 20), [1], range(35))
            next(tiles)
            tiles.close()

        assert not readers()
        assert len(asked) <= 2 + 2

    def test_no_tile_of_another_version_is_ever_given(self, uri, make_scene):
        grid = Grid(400, 600, 100, 0)
        with open_scene(uri) as scene:
            next(tiles := read_tiles(scene, grid, [1], range(grid.count)))
            tiles.close()
            storage.copy(make_scene(noise(3, 600, 400, "uint16") + 1, **COG), uri)
            with pytest.raises(SceneChangedError, match="replaced"):
                list(read_tiles(scene, grid, [1], range(grid.count)))

    def test_a_server_that_is_gone_is_no_fault_of_the_scene(self, make_scene, doomed_server):
        bucket, stop = doomed_server
        uri = storage.join(bucket, "x.tif")
        storage.copy(make_scene(noise(), **COG), uri)
        with open_scene(uri) as scene:
            stop()
            with pytest.raises(TransientError, match=uri):
                list(read_tiles(scene, Grid(400, 300, 100, 0), [1], range(12)))
