"""Tests of the memory check: the header gives the required memory, and a lack of it is refused."""

import json
import subprocess
import sys
from contextlib import ExitStack

import numpy as np
import pytest
import rasterio

from swath.errors import SceneError
from swath.raster.dataset import open_dataset
from swath.raster.empty_tiles import detect_empty_tiles
from swath.raster.reader import file_tiles, read_tile, read_tiles, tile_reader
from swath.raster.reader.memory_check import MemoryNeed
from swath.raster.reader.workers import Workers
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from swath.resource_limits import MIB
from tests.helpers.rasters import NORTH_UP, UTM
from tests.helpers.tiffs import write_zeros

UNKNOWN_HERE = {262: [5]}
"""Tags of an image in inks, which GDAL decodes."""
LZMA = {259: [34925]}
FLOATING = {317: [3]}

READ = """
import json, sys
import swath.raster.reader.geotiff_blocks
from swath.raster.reader import read_tiles
from swath.raster.reader.workers import Workers
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid

def memory(what):
    (line,) = [one for one in open("/proc/self/status") if one.startswith(what)]
    return int(line.split()[1]) >> 10

claims, claim = [], Workers.reserve_memory

def reserve(workers, data, need):
    claims.append(need)
    claim(workers, data, need)

Workers.reserve_memory = reserve
path, threads = sys.argv[1], int(sys.argv[2])
before, error, tiles = memory("VmRSS"), "", 0
try:
    with open_scene(path) as scene:
        grid = Grid(scene.info.width, scene.info.height, 512, 64)
        bands, numbers = range(1, scene.info.count + 1), range(grid.count)
        for read in read_tiles(scene, grid, bands, numbers, threads=threads):
            tiles += read.pixels is not None
except Exception as caught:
    error = f"{type(caught).__name__}: {caught}"
needs = [need.shared_bytes + threads * need.bytes_per_thread for need in claims]
used = memory("VmHWM") - before
print(json.dumps({"used": used, "need": max(needs) >> 20, "error": error, "tiles": tiles}))
"""


def read(path, threads=1, **environment):
    """Read a scene in a subprocess. Return the MiB that it used and the MiB that were predicted."""
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path), str(threads)],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("threads", "side", "block", "options"),
    [
        (2, 6144, 3072, {"bands": 3, "dtype": "u2"}),
        (1, 5120, 5120, {"dtype": "f4", "tags": FLOATING}),
        (2, 6144, 3072, {"bands": 3, "dtype": "u2", "tags": UNKNOWN_HERE}),
        (1, 6144, 3072, {"bands": 4, "dtype": "u2", "separate": True, "tags": UNKNOWN_HERE}),
    ],
    ids=["decoded here", "floating predictor", "by GDAL", "by GDAL, bands apart"],
)
def test_no_more_is_used_than_was_to_be_needed(tmp_path, threads, side, block, options):
    found = read(write_zeros(tmp_path / "a.tif", side, block, **options), threads)

    assert not found["error"]
    assert found["tiles"] == Grid(side, side, 512, 64).count
    assert found["need"] / 3 < found["used"] < found["need"]


def test_a_small_file_of_large_blocks_is_refused_before_it_is_decoded(tmp_path):
    path = write_zeros(tmp_path / "a.tif", 26624, 13312, bands=3, tags=UNKNOWN_HERE)

    found = read(path, threads=2, AWS_LAMBDA_FUNCTION_MEMORY_SIZE="3008")

    assert found["error"].startswith(
        f"SceneError: {path} has blocks of 13312 x 13312 px; reading them takes "
    )
    assert "rewrite it in small tiles with gdal_translate -of COG" in found["error"]
    assert found["used"] < 100


@pytest.fixture
def free(monkeypatch):
    """Return a function that sets the number of free bytes."""

    def set_free(count):
        monkeypatch.setattr("swath.raster.reader.memory_check.free_memory", lambda: count)

    return set_free


@pytest.fixture
def large(tmp_path):
    """Return the path of a scene that is one block of 72 MiB."""
    return write_zeros(tmp_path / "a.tif", 6144, 6144, dtype="u2")


def claims(monkeypatch):
    """Return the list of memory reservations from now on."""
    found, claim = [], Workers.reserve_memory
    monkeypatch.setattr(
        Workers,
        "reserve_memory",
        lambda workers, data, need: (found.append(need), claim(workers, data, need))[1],
    )
    return found


def test_what_just_fits_is_read_and_what_does_not_is_refused(large, free, monkeypatch):
    grid, found = Grid(6144, 6144, 512, 64), claims(monkeypatch)

    def tiles():
        with open_scene(large) as scene:
            return sum(
                t.pixels is not None for t in read_tiles(scene, grid, [1], [0, 1], threads=8)
            )

    free(1 << 40)
    assert tiles() == 2
    (need,) = found
    free(need.shared_bytes + need.bytes_per_thread)
    assert tiles() == 2
    free(need.shared_bytes + need.bytes_per_thread - 1)
    with pytest.raises(
        SceneError, match=r"a\.tif has blocks of 6144 x 6144 px; reading them takes"
    ):
        tiles()


@pytest.mark.parametrize("tags", [{}, UNKNOWN_HERE], ids=["decoded here", "by GDAL"])
def test_fewer_threads_read_where_memory_is_short(tmp_path, free, monkeypatch, tags):
    large = write_zeros(tmp_path / "a.tif", 12288, 6144, dtype="u2", tags=tags)
    grid, found, pools = Grid(12288, 12288, 512, 64), claims(monkeypatch), []
    pool = Workers._create_pool
    monkeypatch.setattr(
        Workers, "_create_pool", lambda w, n, what: (pools.append((what, n)), pool(w, n, what))[1]
    )

    def count():
        pools.clear()
        with open_scene(large) as scene:
            assert next(read_tiles(scene, grid, [1], [0, 1], threads=5)).pixels is not None
        return pools[-1][1]

    free(1 << 40)
    assert count() == 5
    need = found[-1]
    free(need.shared_bytes + 3 * need.bytes_per_thread)
    assert count() == 3
    free(need.shared_bytes + 2 * need.bytes_per_thread - 1)
    assert count() == 1


@pytest.mark.parametrize(
    ("need", "wanted", "free", "threads"),
    [
        (MemoryNeed(10, 5), 4, 30, 4),
        (MemoryNeed(10, 5), 4, 29, 3),
        (MemoryNeed(10, 5), 4, 15, 1),
        (MemoryNeed(10, 5), 4, 14, 0),
        (MemoryNeed(10, 5), 4, 0, 0),
        (MemoryNeed(10, 0), 4, 10, 4),
        (MemoryNeed(10, 0), 4, 9, 0),
    ],
)
def test_threads_that_fit(need, wanted, free, threads):
    assert need.max_threads(wanted, free) == threads


def test_a_scene_and_its_mask_are_added_up(make_scene, free):
    free(100)
    with open_dataset(make_scene(np.ones((1, 9, 9), "u1"))) as one, Workers(4) as workers:
        workers.reserve_memory(one, MemoryNeed(30, 10))
        with open_dataset(make_scene(np.ones((1, 9, 9), "u1"), name="b.tif")) as other:
            workers.reserve_memory(other, MemoryNeed(40, 10))
            assert len(workers.open_handles(one)) == 1
            with pytest.raises(SceneError, match=r"b\.tif has blocks"):
                workers.reserve_memory(other, MemoryNeed(61, 10))


def test_one_tile_alone_is_held_to_it_too(large, free):
    grid = Grid(6144, 6144, 6144, 0)
    with open_scene(large) as scene:
        free(1 << 40)
        assert read_tile(scene, grid.tile(0), [1]).pixels is not None
        free(4 * MIB)
        with pytest.raises(SceneError, match="reading them takes"):
            read_tile(scene, grid.tile(0), [1])


def test_a_scene_that_gdal_reads_tile_by_tile_is_held_to_it_too(large, free, monkeypatch):
    monkeypatch.setattr(file_tiles, "select_channels", lambda *_: None)
    free(4 * MIB)

    with open_scene(large) as scene, pytest.raises(SceneError, match="reading them takes"):
        next(read_tiles(scene, Grid(6144, 6144, 512, 64), [1], [0, 1]))


def test_empty_tiles_are_not_searched_where_memory_is_short(tmp_path, free):
    path = write_zeros(tmp_path / "a.tif", 4096, 4096, dtype="u2", tags={42113: "0"})
    grid = Grid(4096, 4096, 512, 64)
    with open_scene(path) as scene:
        free(1 << 40)
        assert detect_empty_tiles(scene, grid, [1]).all()
        free(4 * MIB)
        assert detect_empty_tiles(scene, grid, [1]) is None


@pytest.mark.parametrize(("bands", "dtype"), [(3, "uint8"), (4, "uint16")])
@pytest.mark.parametrize("rows", [1, 16])
def test_striped_scenes_of_200000_px_are_read_by_a_function(tmp_path, free, bands, dtype, rows):
    path = tmp_path / "a.tif"
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=200_000,
        height=4_000,
        count=bands,
        dtype=dtype,
        crs=UTM,
        transform=NORTH_UP,
        blockysize=rows,
        compress="deflate",
        SPARSE_OK=True,
        BIGTIFF="YES",
    ):
        pass
    free(2200 * MIB)  # of 3008 MiB, with a model
    with open_scene(str(path)) as scene, Workers(2) as workers:
        grid = Grid(200_000, 4_000, 512, 64)
        tile_reader.open_source(
            scene, range(1, bands + 1), grid.windows(range(grid.count)), workers
        )
        assert workers._thread_count == 2


def test_no_ordinary_scene_is_refused(data, free):
    free(2200 * MIB)
    seen = 0
    for path in [path for kind in ("*.tif", "*.jp2", "*.ntf") for path in data.rglob(kind)]:
        with ExitStack() as opened:
            try:
                scene = opened.enter_context(open_scene(str(path)))
            except SceneError:
                continue  # the header or the damage is refused
            grid = Grid(scene.info.width, scene.info.height, 512, 64)
            bands, windows = range(1, scene.info.count + 1), grid.windows(range(grid.count))
            workers = opened.enter_context(Workers(2))
            tile_reader.open_source(scene, bands, windows, workers)
            assert workers._thread_count == 2
            seen += 1
    assert seen > 100
