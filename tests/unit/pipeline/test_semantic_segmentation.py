"""Tests of semantic segmentation from end to end: known outputs, their polygons and mask."""

import itertools
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from rasterio.transform import Affine

from swath import storage
from swath.detection import engine
from swath.detection.detections import NO_LABEL
from swath.detection.segmentation.polygonize import polygonize
from swath.errors import RunIncompleteError, SceneError, ShardInterruptedError
from swath.evaluation.package_variant import write_variant
from swath.messages import RunOptions, RunRequest
from swath.models.package import load_package
from swath.pipeline.local import run_local
from swath.pipeline.merge import merge_run
from swath.pipeline.paths import RunPaths
from swath.pipeline.publish import publish_run
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard, write_failed_receipt
from tests.helpers.packages import TILE, for_task, write_package
from tests.helpers.segmenters import (
    BACKGROUND,
    CLASSES,
    HEIGHT,
    NODATA,
    WIDTH,
    bands_of_value,
    values,
    write_segmenter,
)

# Degrees in powers of two convert from px to longitude and back without rounding.
PIXEL = 1 / 1024
PLACE = {"crs": "EPSG:4326", "transform": Affine(PIXEL, 0, 10, 0, -PIXEL, 50)}


@pytest.fixture(autouse=True)
def tile_by_tile(monkeypatch):
    """Make the engine yield after every tile, so that a shard can stop after each."""
    monkeypatch.setattr(engine, "MIN_TILES_PER_YIELD", 1)


@pytest.fixture
def segmenter(tmp_path):
    """Return the folder of a package that requests a mask."""
    return write_segmenter(tmp_path / "segmenter")


def truth(pixels):
    """Return the label and the probability (rows, cols) of each pixel."""
    logits = -4 * (pixels - np.arange(len(CLASSES)).reshape(-1, 1, 1)) ** 2
    probability = np.exp(logits) / np.exp(logits).sum(axis=0)
    labels = logits.argmax(axis=0)
    nothing = (labels == BACKGROUND) | (pixels == NODATA)
    return np.where(nothing, NO_LABEL, labels).astype(np.uint8), probability.max(axis=0)


def check_detections(path, labels, probability):
    """Check that the rows are the regions of the labels: outlines exactly, scores approximately."""
    regions = polygonize(labels, probability)
    expected = sorted(
        (CLASSES[label], shapely.normalize(outline).wkt, total / area)
        for label, outline, total, area in zip(
            regions.label, regions.outline, regions.weight_sum, regions.area, strict=True
        )
    )
    rows = pq.read_table(path, columns=["class", "geometry", "score"]).to_pylist()
    found = sorted(
        (row["class"], shapely.normalize(in_pixels(row["geometry"])).wkt, row["score"])
        for row in rows
    )
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], abs=1e-5)


def in_pixels(geometry):
    return shapely.transform(
        shapely.from_wkb(geometry), lambda place: (place - [10, 50]) / [PIXEL, -PIXEL]
    )


def check_mask(path, labels):
    with rasterio.open(path) as mask:
        assert (mask.read(1) == labels).all()
        assert (mask.crs, mask.transform) == (PLACE["crs"], PLACE["transform"])
        assert mask.nodata == NO_LABEL
        assert mask.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_a_run_leaves_the_polygons_and_the_mask(make_scene, segmenter, tmp_path):
    pixels = values()
    scene = make_scene(pixels[None], nodata=NODATA, **PLACE)

    report = run_local(scene, str(segmenter), tmp_path / "out")

    labels, probability = truth(pixels)
    check_detections(tmp_path / "out" / "detections.parquet", labels, probability)
    check_mask(tmp_path / "out" / "mask.tif", labels)
    assert report.detections == len(polygonize(labels).label)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["detections.parquet", "mask.tif", "summary.json"]


@pytest.mark.parametrize("shard_tiles", [1, 3, 17])
def test_the_result_is_the_truth_however_it_was_sharded(
    make_plan, make_scene, segmenter, shard_tiles
):
    pixels = values()
    scene = make_scene(pixels[None], nodata=NODATA, **PLACE)
    plan_uri = make_plan(scene, model=segmenter, shard_tiles=shard_tiles)
    for index in range(len(RunStore.open(plan_uri).plan.shards)):
        run_shard(plan_uri, index)

    summary = merge_run(plan_uri)

    labels, probability = truth(pixels)
    check_detections(summary.uri, labels, probability)
    check_mask(summary.mask_uri, labels)


def test_a_shard_that_saw_nothing_leaves_its_part_of_the_mask_empty(
    make_plan, make_scene, segmenter
):
    pixels = values()
    scene = make_scene(pixels[None], nodata=NODATA, **PLACE)
    plan_uri = make_plan(scene, model=segmenter, shard_tiles=17, tolerated_failures=0.5)
    write_failed_receipt(plan_uri, 0, SceneError("no answer"))
    plan = RunStore.open(plan_uri).plan
    for index in range(1, len(plan.shards)):
        run_shard(plan_uri, index)

    summary = merge_run(plan_uri)

    labels = truth(pixels)[0]
    for x0, y0, x1, y1 in plan.grid.cores(plan.tiles(0)).tolist():
        labels[y0:y1, x0:x1] = NO_LABEL
    check_mask(summary.mask_uri, labels)


def test_a_part_of_the_mask_is_the_one_of_its_receipt(make_plan, make_scene, segmenter):
    scene = make_scene(values()[None], nodata=NODATA, **PLACE)
    plan_uri = make_plan(scene, model=segmenter, shard_tiles=17)
    for index in range(len(RunStore.open(plan_uri).plan.shards)):
        run_shard(plan_uri, index)
    part, other = map(RunPaths.from_plan_uri(plan_uri).mask_part, range(2))

    storage.write_bytes(part, storage.read_bytes(other))
    with pytest.raises(RunIncompleteError, match=rf"{part} .* in the receipt of shard 0"):
        merge_run(plan_uri)
    Path(part).unlink()
    with pytest.raises(RunIncompleteError, match=rf"{part} is missing, although"):
        merge_run(plan_uri)


@pytest.mark.parametrize("checkpoint_seconds", [0, 180])
def test_an_interrupted_shard_loses_nothing_of_its_mask(
    make_plan, make_scene, segmenter, checkpoint_seconds
):
    pixels = values()
    plan_uri = make_plan(make_scene(pixels[None], nodata=NODATA, **PLACE), model=segmenter)
    attempts = 0
    for attempts in itertools.count(1):  # noqa: B007 (counted on)
        asked = itertools.count()
        try:
            run_shard(
                plan_uri,
                0,
                stop=lambda asked=asked: next(asked) == 1,
                checkpoint_seconds=checkpoint_seconds,
            )
        except ShardInterruptedError:
            continue
        break

    summary = merge_run(plan_uri)

    assert attempts > 2
    labels, probability = truth(pixels)
    check_detections(summary.uri, labels, probability)
    check_mask(summary.mask_uri, labels)


def test_progress_without_its_mask_is_not_resumed(make_plan, make_scene, segmenter):
    pixels = values()
    plan_uri = make_plan(make_scene(pixels[None], nodata=NODATA, **PLACE), model=segmenter)
    with pytest.raises(ShardInterruptedError):
        run_shard(plan_uri, 0, stop=lambda: True)
    Path(RunPaths.from_plan_uri(plan_uri).partial_mask(0)).unlink()

    run_shard(plan_uri, 0)

    check_mask(merge_run(plan_uri).mask_uri, truth(pixels)[0])


def test_a_package_that_asks_for_no_mask_has_none(make_scene, tmp_path):
    change = for_task(
        "semantic-segmentation",
        {"logits": [-1, len(CLASSES), TILE, TILE]},
        classes=CLASSES,
        score_activation="softmax",
    )
    package = write_package(tmp_path / "package", change, weights=bands_of_value())

    run_local(make_scene(values()[None], **PLACE), str(package), tmp_path / "out")

    assert not (tmp_path / "out" / "mask.tif").exists()


def test_a_mask_is_published_as_an_asset(make_plan, make_scene, segmenter, tmp_path):
    pixels = values()
    plan_uri = make_plan(make_scene(pixels[None], nodata=NODATA, **PLACE), model=segmenter)
    run_shard(plan_uri, 0)
    plan = RunStore.open(plan_uri).plan
    request = RunRequest(
        run_id=plan.run_id, scene=plan.scene, model=plan.model, options=plan.options
    )

    summary = publish_run(request, merge_run(plan_uri), str(tmp_path / "out"), backend="local")

    check_mask(summary.mask_uri, truth(pixels)[0])
    item = storage.read_json(summary.item_uri)
    asset = item["assets"]["mask"]
    assert asset["href"] == "./mask.tif"
    assert (asset["data_type"], asset["nodata"]) == ("uint8", NO_LABEL)
    assert [entry["title"] for entry in asset["classification:classes"]] == list(CLASSES)
    assert any("classification" in uri for uri in item["stac_extensions"])


def test_a_threshold_of_the_run_is_that_of_a_package(make_scene, segmenter, tmp_path):
    values = np.random.default_rng(3).integers(0, 3, (1, HEIGHT, WIDTH)).astype(np.float32)
    values += np.random.default_rng(4).uniform(-0.45, 0.45, values.shape).astype(np.float32)
    scene = str(make_scene(values, **PLACE))
    other = write_variant(load_package(segmenter), tmp_path / "other", score_threshold=0.9)

    run_local(scene, str(segmenter), tmp_path / "a", options=RunOptions(score_threshold=0.9))
    run_local(scene, str(other), tmp_path / "b")
    run_local(scene, str(segmenter), tmp_path / "own")

    tables, masks = zip(*(outputs_of(tmp_path / name) for name in ("a", "b", "own")), strict=True)
    assert tables[0] == tables[1]
    assert tables[0] != tables[2]
    assert np.array_equal(masks[0], masks[1])
    assert (masks[0] == NO_LABEL).sum() > (masks[2] == NO_LABEL).sum()


def outputs_of(folder):
    """Return the table of polygons with scores, and the mask (rows, cols)."""
    table = pq.read_table(folder / "detections.parquet", columns=["geometry", "class", "score"])
    with rasterio.open(folder / "mask.tif") as mask:
        return table, mask.read(1)
