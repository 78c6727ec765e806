"""Tests of the sizes of reads: they are those of the reads that follow."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath import storage
from swath.raster.reader import read_tiles
from swath.raster.reader.read_sizes import read_sizes
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.rasters import sparse
from tests.helpers.read_bytes import counted_bytes

pytest.importorskip("imagecodecs", reason="without imagecodecs, GDAL reads all files")

TILED = {"tiled": True, "blockxsize": 64, "blockysize": 64}
LAYOUTS = {
    "tiles": TILED,
    "planes": {**TILED, "interleave": "band", "compress": "ZSTD"},
    "predictor": {**TILED, "interleave": "pixel", "compress": "DEFLATE", "predictor": 2},
    "strips": {"compress": "LZW", "blockysize": 4},
    "one strip": {"compress": "DEFLATE", "blockysize": 300},
}


def pixels(count=3):
    return np.random.default_rng(1).integers(0, 9, (count, 300, 500), np.uint16)


def read(scene, grid, bands, shards):
    for numbers in shards:
        for tile in read_tiles(scene, grid, bands, numbers, threads=2):
            assert tile.error is None


def measure(path, *, bands=(1, 3), size=100, overlap=20, shards=None):
    """Return the predicted sizes of the files of a scene, and the bytes that were then read."""
    with open_scene(str(path)) as scene:
        grid = Grid(scene.info.width, scene.info.height, size, overlap)
        shards = shards or [range(grid.count // 2), range(grid.count // 2, grid.count)]
        sizes = read_sizes(scene, bands, [grid.windows(numbers) for numbers in shards])
        with counted_bytes() as counts:
            read(scene, grid, bands, shards)
    return sizes, counts


class TestExactSizes:
    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_equal_what_is_read_from_a_disk(self, make_scene, layout):
        path = make_scene(pixels(), **LAYOUTS[layout])

        (size,), counts = measure(path)

        assert size.is_exact
        assert counts == {size.uri: size.block_bytes}

    @pytest.mark.parametrize("layout", LAYOUTS)
    def test_equal_what_is_fetched_from_s3(self, make_scene, http_bucket, layout):
        uri = f"{http_bucket}/{layout}.tif"
        storage.copy(str(make_scene(pixels(), **LAYOUTS[layout])), uri)

        (size,), counts = measure(uri)

        assert size.is_exact
        assert counts == {uri: size.fetched_bytes}
        assert size.fetched_bytes >= size.block_bytes > 0
        assert size.requests > 0

    def test_contain_a_mask_next_to_the_scene(self, make_scene):
        path = make_scene(pixels(), **TILED)
        make_scene(pixels(1) > 4, name="scene.tif.msk", dtype="uint8", **TILED)

        sizes, counts = measure(path)

        assert [size.uri for size in sizes] == [str(path), f"{path}.msk"]
        assert {size.uri: size.block_bytes for size in sizes} == counts

    def test_leave_out_blocks_that_no_tile_needs(self, make_scene):
        path = make_scene(pixels(), **TILED)

        (some,), _ = measure(path, shards=[range(3)])
        (all_blocks,), _ = measure(path)

        assert 0 < some.block_bytes < all_blocks.block_bytes / 3

    def test_count_a_block_once_for_each_shard(self, make_scene):
        path = make_scene(pixels(), **TILED)

        (once,), _ = measure(path, shards=[range(20)])
        (twice,), _ = measure(path, shards=[range(20), range(20)])

        assert twice.block_bytes == 2 * once.block_bytes

    @settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        size=st.integers(20, 200),
        overlap=st.integers(0, 19),
        bands=st.permutations([1, 2, 3]).flatmap(
            lambda order: st.integers(1, 3).map(lambda count: order[:count])
        ),
        data=st.data(),
    )
    def test_hold_for_any_tiles_and_bands(self, make_scene, size, overlap, bands, data):
        path = make_scene(pixels(), name=f"{size}.tif", **LAYOUTS["planes"])
        count = Grid(500, 300, size, overlap).count
        tiles = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=2, max_size=9)))

        (predicted,), counts = measure(
            path, bands=bands, size=size, overlap=overlap, shards=[tiles]
        )

        assert counts == {str(path): predicted.block_bytes}


class TestDecodedSizes:
    @pytest.mark.parametrize(
        ("layout", "blocks", "block_pixels", "bands"),
        [
            ("tiles", 8 * 4 + 8 / 64 * (300 - 256), 64 * 64, 3),
            ("planes", 8 * 4 + 8 / 64 * (300 - 256), 64 * 64, 2),
            ("strips", 300, 500, 3),
        ],
    )
    def test_are_those_of_all_bands_in_the_blocks(
        self, make_scene, layout, blocks, block_pixels, bands
    ):
        options = {"interleave": "pixel"} | LAYOUTS[layout]

        (size,), _ = measure(make_scene(pixels(), **options), shards=[range(20)])

        assert size.decoded_bytes == blocks * block_pixels * bands * 2

    def test_count_a_block_once_for_each_shard(self, make_scene):
        path = make_scene(pixels(), **TILED)

        (once,), _ = measure(path, shards=[range(20)])
        (twice,), _ = measure(path, shards=[range(20), range(20)])

        assert twice.decoded_bytes == 2 * once.decoded_bytes > 0

    @pytest.mark.parametrize(
        ("options", "name"),
        [
            ({}, "NONE"),
            ({"compress": "LZW"}, "LZW"),
            ({"compress": "DEFLATE"}, "DEFLATE"),
            ({"driver": "JP2OpenJPEG", "dtype": "uint8"}, "JPEG2000"),
            ({"driver": "NITF", "dtype": "uint8", "ICORDS": "N"}, ""),
        ],
    )
    def test_belong_to_a_compression(self, make_scene, options, name):
        (size,), _ = measure(make_scene(pixels(), **options))

        assert size.compression == name
        assert size.decoded_bytes >= 300 * 500 * 2


class TestOtherFiles:
    def test_gdal_reads_an_unknown_part(self, data):
        path = data / "scenes" / "rasterio" / "alpha_masked_jpeg2000.jp2"
        path = path if path.exists() else next((data / "scenes").rglob("*.jp2"))

        (size,), _ = measure(path, bands=(1,), size=256)

        assert not size.is_exact
        assert size.block_bytes == size.fetched_bytes == size.file_bytes == path.stat().st_size
        assert size.requests == 0

    def test_a_file_without_stored_blocks_needs_no_bytes(self, tmp_path):
        path = sparse(tmp_path / "x.tif", side=2000)

        (size,), _ = measure(path, bands=(1,))

        assert (size.block_bytes, size.requests, size.is_exact) == (0, 0, True)

    def test_without_a_shard_nothing_is_read(self, make_scene):
        with open_scene(str(make_scene(pixels(), **TILED))) as scene:
            (size,) = read_sizes(scene, [1], [])

        assert (size.block_bytes, size.requests) == (0, 0)
        assert size.file_bytes > 0
