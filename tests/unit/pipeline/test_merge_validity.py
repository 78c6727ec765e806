"""Tests of the footprint of valid pixels through a run: by tiles, shards and attempts."""

import json

import numpy as np
import pytest
import shapely

import swath
from swath.detection import engine, geoparquet
from swath.detection.scene_facts import read_footprint, read_valid_footprint
from swath.errors import SceneError, ShardInterruptedError
from swath.pipeline.merge import merge_run
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard, write_failed_receipt
from swath.raster import invalid_cells
from swath.raster.georeference import Georeferencer
from swath.raster.invalid_cells import InvalidCells
from swath.raster.scene import open_scene
from swath.raster.valid_footprint import valid_area, valid_footprint

WIDTH, HEIGHT = 110, 70


@pytest.fixture(autouse=True)
def tile_by_tile(monkeypatch):
    """Make the engine yield after every tile, so that a shard can stop after each."""
    monkeypatch.setattr(engine, "MIN_TILES_PER_YIELD", 1)


@pytest.fixture(params=[2048, 32])
def cells(request, monkeypatch):
    """Give scenes cells of 1 px, and of 4 px."""
    monkeypatch.setattr(invalid_cells, "MAX_CELLS", request.param)


@pytest.fixture
def valid():
    """Return a mask with a slanted collar, a hole and single pixels; True = valid."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    mask = x + 0.4 * y > 40
    mask[20:34, 70:91] = False
    mask &= np.random.default_rng(3).random(mask.shape) > 0.01
    return mask


@pytest.fixture
def scene(make_scene, valid):
    return make_scene(np.where(valid, 7, 0).astype(np.uint8)[None], nodata=0)


def run_all(plan_uri, stop_each=None):
    """Run all shards; with `stop_each`, stop and resume each after that many tiles."""
    for index in range(len(RunStore.open(plan_uri).plan.shards)):
        while True:
            asked = []

            def stop(asked=asked):
                asked.append(1)
                return stop_each is not None and len(asked) == stop_each

            try:
                run_shard(plan_uri, index, stop=stop, checkpoint_seconds=0 if stop_each else 1e9)
            except ShardInterruptedError:
                continue
            break
    return merge_run(plan_uri)


def footprint_of(merge):
    footer = geoparquet.read_footer(merge.uri)
    return shapely.from_geojson(json.dumps(read_valid_footprint(footer)))


def expected_of(scene, valid):
    with open_scene(scene) as opened:
        info = opened.info
    georeferencer, counts = Georeferencer.from_info(info), InvalidCells.from_valid(valid)
    return valid_footprint(info, georeferencer, counts), valid_area(georeferencer, counts)


@pytest.mark.usefixtures("cells")
@pytest.mark.parametrize("shard_tiles", [3, 10, 1000])
@pytest.mark.parametrize("stop_each", [None, 2])
def test_shards_and_attempts_do_not_matter(make_plan, scene, valid, shard_tiles, stop_each):
    merge = run_all(make_plan(scene, shard_tiles=shard_tiles), stop_each)
    outline, area = expected_of(scene, valid)
    assert footprint_of(merge) == outline
    assert merge.valid_area_m2 == area
    assert 0.6 < area / (WIDTH * HEIGHT * 100) < 0.9  # px of 10 m


@pytest.mark.usefixtures("cells")
def test_tiles_found_empty_before_or_during_the_run_do_not_matter(
    make_plan, scene, valid, monkeypatch
):
    before = make_plan(scene)
    assert RunStore.open(before).plan.skipped_count
    monkeypatch.setattr("swath.raster.empty_tiles.MAX_SEARCHED_PIXELS", 0)
    during = make_plan(scene, work=f"{scene}-work")
    assert not RunStore.open(during).plan.skipped_count
    outline, area = expected_of(scene, valid)
    for merge in (run_all(before), run_all(during)):
        assert footprint_of(merge) == outline
        assert merge.valid_area_m2 == area


@pytest.mark.usefixtures("cells")
def test_in_memory_the_footprint_is_the_same(scene, package, valid):
    found = swath.detect(scene, package)
    outline, area = expected_of(scene, valid)
    assert found.valid_footprint == outline
    assert found.valid_area_m2 == area


def test_a_valid_scene_leaves_no_file_and_keeps_its_outline(make_plan, make_scene):
    plan_uri = make_plan(make_scene(np.ones((1, HEIGHT, WIDTH), np.uint8)), shard_tiles=10)
    merge = run_all(plan_uri)
    store = RunStore.open(plan_uri)
    assert all(receipt.invalid_pixels == 0 for receipt in store.read_receipts())
    assert not any(".invalid" in name for r in store.read_receipts() for name in r.files)
    outline = read_footprint(geoparquet.read_footer(merge.uri))
    assert footprint_of(merge) == shapely.from_geojson(json.dumps(outline))
    # The scale of UTM is 0.9996 at the central meridian, and near it here.
    assert merge.valid_area_m2 == pytest.approx(WIDTH * HEIGHT * 100, rel=2e-3)


def test_tiles_that_failed_are_not_part_of_it(make_plan, make_scene):
    scene = make_scene(np.ones((1, HEIGHT, WIDTH), np.uint8))
    plan_uri = make_plan(scene, shard_tiles=10, tolerated_failures=1.0)
    plan = RunStore.open(plan_uri).plan
    for index in range(len(plan.shards)):
        if index == 1:
            write_failed_receipt(plan_uri, index, SceneError("unreadable"))
        else:
            run_shard(plan_uri, index)
    valid = np.ones((HEIGHT, WIDTH), bool)
    for x0, y0, x1, y1 in plan.grid.cores(plan.tiles(1)):
        valid[y0:y1, x0:x1] = False
    merge = merge_run(plan_uri)
    assert (footprint_of(merge), merge.valid_area_m2) == expected_of(scene, valid)


def test_a_scene_without_a_valid_pixel_has_an_empty_footprint(make_plan, make_scene):
    scene = make_scene(np.zeros((1, HEIGHT, WIDTH), np.uint8), nodata=0)
    merge = run_all(make_plan(scene))
    assert footprint_of(merge).is_empty
    assert merge.valid_area_m2 == 0
