"""Tests of mask rasters: shards write parts, and the merge joins them into one file."""

import subprocess
import sys

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint

from swath.detection.detections import NO_LABEL
from swath.detection.segmentation.mask_raster import MaskPart, assemble_mask, extent
from swath.pipeline.shard_layout import ShardLayout
from swath.raster.scene import open_scene
from swath.raster.tiles import Grid
from tests.helpers.rasters import NORTH_UP, UTM

CLASSES = ("water", "bare & <rock>", "wood")


def labels_of(grid, seed=0):
    """Return random labels (rows, cols) of a whole scene, in patches of 7 px."""
    coarse = np.random.default_rng(seed).choice(
        np.array([0, 1, 2, NO_LABEL], np.uint8), (grid.height // 7 + 1, grid.width // 7 + 1)
    )
    return coarse.repeat(7, axis=0).repeat(7, axis=1)[: grid.height, : grid.width]


def write_tiles(part, grid, tiles, labels):
    for number in tiles:
        tile = grid.tile(int(number))
        x0, y0, x1, y1 = tile.core
        part.write(tile, labels[y0:y1, x0:x1])


def write_part(path, grid, tiles, labels):
    window = extent(grid, np.array(tiles))
    part = MaskPart(path, window)
    write_tiles(part, grid, tiles, labels)
    part.close()
    return path, window


@pytest.fixture
def scene_of(make_scene):
    """Return a function that gives the header of a scene as large as a grid."""

    def open_one(grid, **profile):
        with open_scene(make_scene(np.zeros((1, grid.height, grid.width)), **profile)) as scene:
            return scene.info

    return open_one


@pytest.mark.parametrize("shard_tiles", [17, 100, 1000])
def test_a_mask_is_the_labels_however_the_scene_was_sharded(tmp_path, scene_of, shard_tiles):
    grid = Grid(700, 1100, 64, 16)
    labels = labels_of(grid)
    shards = ShardLayout.for_grid(grid, max_tiles=shard_tiles, max_rectangles=100, max_columns=100)
    parts = [
        write_part(tmp_path / f"{shard}.tif", grid, shards.tiles(shard), labels)
        for shard in range(shards.count)
    ]

    assemble_mask(parts, scene_of(grid), CLASSES, tmp_path / "mask.tif")

    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert (mask.read(1) == labels).all()
        assert (mask.dtypes, mask.nodata) == (("uint8",), NO_LABEL)
        assert (mask.crs, mask.transform) == (UTM, NORTH_UP)


def test_a_mask_is_cloud_optimized_and_names_its_classes(tmp_path, scene_of):
    grid = Grid(1500, 1100, 512, 64)
    labels = labels_of(grid)
    part = write_part(tmp_path / "part.tif", grid, range(grid.count), labels)

    assemble_mask([part], scene_of(grid), CLASSES, tmp_path / "mask.tif")

    with rasterio.open(tmp_path / "mask.tif") as mask:
        names = {f"CLASS_{label}": name for label, name in enumerate(CLASSES)}
        assert mask.tags(1).items() >= names.items()
        structure = mask.tags(ns="IMAGE_STRUCTURE")
        assert structure["LAYOUT"] == "COG"
        assert mask.profile["tiled"]
        assert mask.block_shapes == [(512, 512)]
        assert mask.overviews(1) == [2, 4]
        coarse = mask.read(1, out_shape=(550, 750))
        assert set(np.unique(coarse)) == set(np.unique(labels))


def test_what_no_tile_said_has_no_label(tmp_path, scene_of):
    grid = Grid(100, 60, 32, 0)
    labels = np.zeros((60, 100), np.uint8)
    part = write_part(tmp_path / "part.tif", grid, [1, 6], labels)

    assemble_mask([part], scene_of(grid), CLASSES, tmp_path / "mask.tif")

    expected = np.full((60, 100), NO_LABEL)
    expected[:32, 32:64] = expected[32:, 64:96] = 0
    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert (mask.read(1) == expected).all()


def test_a_mask_of_nothing_is_a_mask(tmp_path, scene_of):
    assemble_mask([], scene_of(Grid(30, 20, 16, 0)), CLASSES, tmp_path / "mask.tif")

    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert (mask.read(1) == NO_LABEL).all()
        assert mask.shape == (20, 30)


def test_a_part_goes_on_where_it_was_left(tmp_path, scene_of):
    grid = Grid(200, 120, 32, 8)
    labels = labels_of(grid)
    path, window = tmp_path / "part.tif", extent(grid, np.arange(grid.count))
    for start, stop in ((0, 13), (13, grid.count)):
        part = MaskPart(path, window, resume=start > 0)
        write_tiles(part, grid, range(start, stop), labels)
        part.close()

    assemble_mask([(path, window)], scene_of(grid), CLASSES, tmp_path / "mask.tif")

    with rasterio.open(tmp_path / "mask.tif") as mask:
        assert (mask.read(1) == labels).all()


def test_ground_control_points_are_taken_over(tmp_path, scene_of):
    grid = Grid(40, 30, 16, 0)
    points = [(0, 0, 10.25, 50.125), (40, 0, 10.5, 50.1), (0, 30, 10.2, 50.0), (40, 30, 10.4, 49.9)]
    gcps = [GroundControlPoint(row=row, col=col, x=x, y=y) for col, row, x, y in points]
    info = scene_of(grid, crs="EPSG:4326", transform=None, gcps=gcps)

    assemble_mask([], info, CLASSES, tmp_path / "mask.tif")

    with rasterio.open(tmp_path / "mask.tif") as mask:
        found, crs = mask.gcps
        assert [(gcp.col, gcp.row, gcp.x, gcp.y) for gcp in found] == points
        assert crs == "EPSG:4326"


@settings(max_examples=50)
@given(
    width=st.integers(1, 99),
    height=st.integers(1, 99),
    size=st.integers(1, 40),
    chosen=st.sets(st.integers(0, 10**6), min_size=1, max_size=9),
)
def test_an_extent_holds_each_core_and_is_no_larger(width, height, size, chosen):
    grid = Grid(width, height, size, size // 3)
    tiles = np.unique([number % grid.count for number in chosen])

    x, y, columns, rows = extent(grid, tiles)

    cores = grid.cores(tiles)
    assert [x, y] == cores[:, :2].min(axis=0).tolist()
    assert [x + columns, y + rows] == cores[:, 2:].max(axis=0).tolist()


def test_a_part_that_cannot_be_written_says_so(tmp_path):
    """Check a full disk, simulated by the file size limit of a subprocess."""
    code = """
import resource, signal, sys
from pathlib import Path
import numpy as np
from rasterio.errors import RasterioError
from swath.detection.segmentation.mask_raster import MaskPart
from swath.raster.tiles import Grid

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
part = MaskPart(Path(sys.argv[1]), (0, 0, 1024, 1024))
labels = np.random.default_rng(0).integers(0, 255, (1024, 1024), dtype=np.uint8)
try:
    part.write(Grid(1024, 1024, 1024, 0).tile(0), labels)
    part.close()
except RasterioError:
    sys.exit(3)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "part.tif")], check=False, capture_output=True
    )

    assert done.returncode == 3
