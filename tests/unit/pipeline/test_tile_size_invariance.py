"""Tests of invariance to tiles and shards: the demo's model on a real scene, in many layouts.

The network's receptive field extends 34 px around a pixel (`test_how_far_the_network_sees` measures
it). If tiles overlap by more than twice that, the tile that owns a detection covers its receptive
field. Then every tile size must give the same result. The package's overlap is smaller, so a
detection near a core's border may differ slightly. The scene's border is excluded, because the
padding there depends on the tile size.
"""

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
import pytest

from swath import storage
from swath.detection.boxes import iou
from swath.messages import Backend, ModelRef, RunOptions, RunRequest, SceneRef
from swath.models import packing
from swath.pipeline.merge import merge_run
from swath.pipeline.planning import plan_run
from swath.pipeline.shard import run_shard
from swath.settings import PlanSettings

SHIPS = Path(__file__).resolve().parents[2] / "small_models" / "ships"
RADIUS = 34
"""Radius of the network's receptive field in px."""
AGREE = 96
"""Overlap in px: its half exceeds the radius plus the network's stride of 8 px and a ship."""
BORDER = 48
WIDTH, HEIGHT = 1042, 699


def opened_network():
    """Return the demo's network for tiles of any size."""
    network = onnx.load(SHIPS / "model.onnx")
    height, width = network.graph.input[0].type.tensor_type.shape.dim[2:]
    height.dim_param, width.dim_param = "height", "width"
    return network.SerializeToString()


@pytest.fixture
def find(data, tmp_path):
    """Return a function that runs the demo's model over Busan: boxes, scores, number of shards."""
    scene = str(data / "ships_s2" / "busan_S2L2A_5band.tif")

    def run(*, tile_size=256, overlap=64, shard_tiles=1000):
        name = f"{tile_size}-{overlap}-{shard_tiles}"
        folder = tmp_path / name
        folder.mkdir()
        item = json.loads((SHIPS / "mlm.json").read_text())
        item["properties"]["mlm:input"][0]["input"]["shape"][2:] = [tile_size, tile_size]
        item["properties"]["mlm:hyperparameters"]["overlap"] = overlap
        for asset in item["assets"].values():
            asset.pop("file:checksum", None)
        (folder / "mlm.json").write_text(json.dumps(item))
        (folder / "model.onnx").write_bytes(opened_network())
        digest = packing.package_digest(folder)
        request = RunRequest.new(
            scene=SceneRef(uri=scene, etag=storage.etag(scene), dropped_at="2026-11-21T12:00:00Z"),
            model=ModelRef(name="ships", uri=str(folder), digest=digest),
            options=RunOptions(backend=Backend.LOCAL),
        )
        settings = PlanSettings(
            work_uri=str(tmp_path / f"work-{name}"), lambda_shard_tiles=shard_tiles
        )
        plan = plan_run(request, settings)
        for index in range(plan.shards):
            run_shard(plan.uri, index)
        table = pq.read_table(merge_run(plan.uri).uri)
        columns = [table[n].to_numpy() for n in ("x_min", "y_min", "x_max", "y_max", "score")]
        rows = np.stack(columns, axis=1)
        rows = rows[np.lexsort(rows.T)]
        return rows[:, :4], rows[:, 4], plan.shards

    return run


def inner(boxes, score):
    """Return the boxes and scores away from the scene's border."""
    low, high = boxes[:, :2].min(axis=1), boxes[:, 2:] + BORDER
    kept = (low >= BORDER) & (high[:, 0] <= WIDTH) & (high[:, 1] <= HEIGHT)
    return boxes[kept], score[kept]


def test_how_far_the_network_sees():
    session = onnxruntime.InferenceSession(opened_network())
    image = np.random.default_rng(0).uniform(500, 4000, (1, 5, 256, 256)).astype(np.float32)
    touched = image.copy()
    touched[..., 128, 128] += 3000

    (before,), (after,) = (session.run(None, {"image": i}) for i in (image, touched))

    side = int(np.sqrt(before.shape[-1]))
    moved = (before != after)[0].any(axis=0).reshape(side, side)
    assert np.abs(np.argwhere(moved) * (256 // side) - 128).max() == RADIUS


def test_every_partition_into_shards_gives_the_same(find):
    boxes, score, shards = find(shard_tiles=1000)
    counts = {shards}

    for size in (8, 3, 2, 1):
        other_boxes, other_score, shards = find(shard_tiles=size)
        counts.add(shards)
        np.testing.assert_array_equal(other_boxes, boxes)
        np.testing.assert_allclose(other_score, score, rtol=0, atol=1e-6)

    assert len(boxes) > 50
    assert {1, 3, 24} <= counts


def test_tiles_that_overlap_by_what_the_network_sees_agree_whatever_their_size(find):
    boxes, score = inner(*find(tile_size=256, overlap=AGREE)[:2])

    for size in (384, 512):
        other_boxes, other_score = inner(*find(tile_size=size, overlap=AGREE)[:2])
        np.testing.assert_allclose(other_boxes, boxes, atol=1e-2)
        np.testing.assert_allclose(other_score, score, atol=1e-3)

    assert len(boxes) > 40


def test_tiles_that_overlap_by_less_differ_only_near_their_seams(find):
    boxes, score = inner(*find(tile_size=256)[:2])

    for size in (384, 512):
        other_boxes, other_score = inner(*find(tile_size=size)[:2])
        alike = np.array(
            [
                (iou(np.repeat(box[None], len(other_boxes), axis=0), other_boxes) > 0.9)
                & (np.abs(other_score - value) < 0.02)
                for box, value in zip(boxes, score, strict=True)
            ]
        )
        assert alike.any(axis=1).mean() > 0.9
        assert alike.any(axis=0).mean() > 0.9
