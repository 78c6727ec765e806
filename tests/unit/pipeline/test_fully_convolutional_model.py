"""Tests of a fully convolutional model on real scenes: the cost of tiling, and the model formats.

The reference is the same network over the whole array. It only requires a dynamic height and width
in the ONNX graph.
"""

import dataclasses
import importlib.util
import json
from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime
import pyarrow.parquet as pq
import pytest
import rasterio

from swath.detection.boxes import iou
from swath.detection.postprocess import decode_detections
from swath.models.package import Weights, load_package
from swath.models.runtimes.load import load_model
from swath.pipeline.local import run_local
from swath.raster.tiles import Grid

SHIPS = Path(__file__).resolve().parents[2] / "small_models" / "ships"
STRIDE = 8
BUSAN = "busan_S2L2A_5band.tif"
FORMATS = {
    "onnx": "ships_5band_256.onnx",
    "torchscript": "ships_5band_256.torchscript.pt",
    "pt2": "ships_5band_256.pt2",
}


@pytest.fixture(scope="module")
def package():
    return load_package(SHIPS)


def pixels_of(scene):
    with rasterio.open(scene) as source:
        return source.read().astype(np.float32)


def in_one_piece(scene, description):
    """Return boxes and scores of the network over the whole scene, zero-padded to its stride."""
    model = onnx.load(SHIPS / "model.onnx")
    height, width = model.graph.input[0].type.tensor_type.shape.dim[2:]
    height.dim_param, width.dim_param = "height", "width"
    session = onnxruntime.InferenceSession(model.SerializeToString())
    pixels = pixels_of(scene)
    rows, cols = pixels.shape[1:]
    padded = np.pad(pixels, ((0, 0), (0, -rows % STRIDE), (0, -cols % STRIDE)))
    (raw,) = session.run(None, {"image": padded[None]})
    whole = Grid(width=cols, height=rows, size=max(cols, rows), overlap=0).tile(0)
    seen = decode_detections((raw[0],), description, whole)
    return seen.box, seen.score


def tiled(scene, out, model=SHIPS):
    run_local(str(scene), str(model), out)
    table = pq.read_table(out / "detections.parquet")
    boxes = np.stack([table[n].to_numpy() for n in ("x_min", "y_min", "x_max", "y_max")], axis=1)
    return boxes, table["score"].to_numpy()


def truth_of(folder, name):
    """Return the labeled boxes of a scene."""
    for split in ("val.json", "train.json"):
        labels = json.loads((folder / split).read_text())
        for image in labels["images"]:
            if image["file_name"] == name:
                found = [a["bbox"] for a in labels["annotations"] if a["image_id"] == image["id"]]
                boxes = np.array(found, np.float64)
                return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    raise AssertionError(f"no labels for {name}")


def average_precision(boxes, score, truth, *, at=0.5):
    """Return AP as COCO defines it: greedy matching, best first; precision at 101 recalls."""
    order = np.argsort(-score, kind="stable")
    free = np.ones(len(truth), bool)
    hits = np.zeros(len(order), bool)
    for rank, box in enumerate(boxes[order]):
        overlap = np.where(free, iou(np.repeat(box[None], len(truth), axis=0), truth), 0)
        best = overlap.argmax()
        if overlap[best] >= at:
            free[best], hits[rank] = False, True
    found = np.cumsum(hits)
    recall, precision = found / len(truth), found / np.arange(1, len(order) + 1)
    envelope = np.append(np.maximum.accumulate(precision[::-1])[::-1], 0)
    return envelope[np.searchsorted(recall, np.linspace(0, 1, 101))].mean()


def test_average_precision_of_known_answers():
    truth = np.array([[0, 0, 10, 10], [20, 0, 30, 10]], np.float64)

    assert average_precision(truth, np.array([0.9, 0.8]), truth) == 1
    assert average_precision(truth[:1], np.array([0.9]), truth) == pytest.approx(51 / 101)
    twice = np.concatenate([truth[:1], truth])
    assert average_precision(twice, np.array([0.9, 0.8, 0.7]), truth) == pytest.approx(
        (51 + 50 * 2 / 3) / 101
    )


def test_tiles_cost_no_precision(data, package, tmp_path):
    scene, truth = data / "ships_s2" / BUSAN, truth_of(data / "ships_s2", BUSAN)

    whole = average_precision(*in_one_piece(scene, package.description), truth)
    in_tiles = average_precision(*tiled(scene, tmp_path / "out"), truth)

    assert whole == pytest.approx(0.282, abs=0.01)
    assert in_tiles == pytest.approx(whole, abs=0.02)


@pytest.mark.parametrize("port", ["busan", "klang", "athens"])
def test_away_from_the_scenes_border_tiles_see_what_the_whole_shows(data, package, tmp_path, port):
    scene = data / "ships_s2" / f"{port}_S2L2A_5band.tif"
    boxes, score = in_one_piece(scene, package.description)
    tile_boxes, tile_score = tiled(scene, tmp_path / "out")
    width, height = boxes[:, 2].max(), boxes[:, 3].max()

    for one, other in (
        ((boxes, score), (tile_boxes, tile_score)),
        ((tile_boxes, tile_score), (boxes, score)),
    ):
        inner = (one[0][:, 2] < width - 32) & (one[0][:, 3] < height - 32)
        for box, value in zip(one[0][inner], one[1][inner], strict=True):
            best = iou(np.repeat(box[None], len(other[0]), axis=0), other[0]).argmax()
            np.testing.assert_allclose(other[0][best], box, atol=0.5)
            assert other[1][best] == pytest.approx(value, abs=0.02)


@pytest.mark.parametrize("overlap", [32, 128])
def test_another_overlap_sees_the_same(data, package, tmp_path, overlap):
    truth = truth_of(data / "ships_s2", BUSAN)
    item = json.loads((SHIPS / "mlm.json").read_text())
    item["properties"]["mlm:hyperparameters"]["overlap"] = overlap
    (tmp_path / "ships").mkdir()
    (tmp_path / "ships" / "mlm.json").write_text(json.dumps(item))
    (tmp_path / "ships" / "model.onnx").write_bytes((SHIPS / "model.onnx").read_bytes())
    scene = data / "ships_s2" / BUSAN

    here = average_precision(*tiled(scene, tmp_path / "a"), truth)
    there = average_precision(*tiled(scene, tmp_path / "b", tmp_path / "ships"), truth)

    assert there == pytest.approx(here, abs=0.02)


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed")
def test_all_formats_give_the_same_detections(data, package):
    weights = tuple(
        Weights(path=data / "models" / name, format=kind) for kind, name in FORMATS.items()
    )
    offered = dataclasses.replace(package, weights=weights)
    tile = pixels_of(data / "ships_s2" / BUSAN)[:, 300:556, 200:456]
    description = msgspec.structs.replace(package.description, score_threshold=0.05)

    alone = Grid(width=256, height=256, size=256, overlap=0).tile(0)
    found = {}
    for kind in FORMATS:
        (outputs,) = load_model(offered, format=kind)([tile])
        found[kind] = decode_detections(outputs, description, alone)

    seen = found["onnx"]
    assert len(seen) > 10
    for kind in ("torchscript", "pt2"):
        np.testing.assert_allclose(found[kind].box, seen.box, atol=1e-4)
        np.testing.assert_allclose(found[kind].score, seen.score, atol=1e-5)
        np.testing.assert_array_equal(found[kind].label, seen.label)
