"""Model packages made here: a detector whose every answer is known beforehand."""

import copy
import hashlib
import json
import tempfile
from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from msgspec import UNSET
from onnx import TensorProto, helper, numpy_helper

from swath import storage
from swath.messages import Backend, ModelRef, RunOptions, RunRequest, SceneRef
from swath.models import packing
from swath.models.mlm_output import Hyperparameters, MlmOutput, parse_output_spec
from swath.models.package import describe_package
from swath.pipeline.planning import plan_run
from swath.settings import PlanSettings

TILE = 16
SHIPS = Path(__file__).resolve().parents[1] / "small_models" / "ships"

MLM = {
    "type": "Feature",
    "stac_version": "1.1.0",
    "stac_extensions": ["https://stac-extensions.github.io/mlm/v1.6.0/schema.json"],
    "id": "bright",
    "geometry": None,
    "properties": {
        "datetime": "2026-01-01T00:00:00Z",
        "bands": [{"name": "gray"}],
        "mlm:name": "bright",
        "mlm:architecture": "none",
        "mlm:tasks": ["object-detection"],
        "mlm:batch_size_suggestion": 4,
        "mlm:input": [
            {
                "name": "image",
                "bands": ["gray"],
                "input": {
                    "shape": [-1, 1, TILE, TILE],
                    "dim_order": ["batch", "bands", "height", "width"],
                    "data_type": "float32",
                },
                "value_scaling": [{"type": "scale", "value": 100}],
            }
        ],
        "mlm:output": [
            {
                "name": "pred",
                "tasks": ["object-detection"],
                "result": {
                    "shape": [-1, 5, TILE * TILE],
                    "dim_order": ["batch", "channel", "candidate"],
                    "data_type": "float32",
                },
                "classification:classes": [{"value": 0, "name": "dot"}],
            }
        ],
        "mlm:hyperparameters": {
            "overlap": 4,
            "score_threshold": 0.5,
            "iou_threshold": 0.5,
            "box_format": "cxcywh",
        },
    },
    "links": [],
    "assets": {"onnx": {"href": "model.onnx", "roles": ["mlm:model"]}},
}


def bright_pixels() -> bytes:
    """A detector: each pixel is a box of 1 px, its score the root of the pixel; NaN below zero."""
    y, x = np.mgrid[:TILE, :TILE].reshape(2, -1) + 0.5
    boxes = np.stack([x, y, np.ones_like(x), np.ones_like(x)])[None].astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Reshape", ["image", "shape"], ["flat"]),
            helper.make_node("Sqrt", ["flat"], ["score"]),
            helper.make_node("Mul", ["score", "zero"], ["nothing"]),
            helper.make_node("Add", ["nothing", "boxes"], ["box"]),
            helper.make_node("Concat", ["box", "score"], ["pred"], axis=1),
        ],
        "bright_pixels",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, TILE, TILE])],
        [helper.make_tensor_value_info("pred", TensorProto.FLOAT, ["batch", 5, TILE * TILE])],
        [
            numpy_helper.from_array(np.array([-1, 1, TILE * TILE]), "shape"),
            numpy_helper.from_array(np.zeros(1, np.float32), "zero"),
            numpy_helper.from_array(boxes, "boxes"),
        ],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def endless(above: float | None = None) -> bytes:
    """Return the same detector, as ONNX, behind a loop with too many rounds to wait for.

    Args:
        above: only tiles with a scaled pixel above it go into the loop; by default all do.
    """
    model = onnx.load_from_string(bright_pixels())
    graph = model.graph
    body = helper.make_graph(
        [
            helper.make_node("Identity", ["go"], ["go_on"]),
            helper.make_node("Abs", ["before"], ["after"]),
        ],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("before", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
            helper.make_tensor_value_info("after", TensorProto.FLOAT, None),
        ],
    )
    loop = helper.make_node("Loop", ["rounds", "yes", "image"], ["looped"], body=body)
    graph.node[0].input[0] = "looped"
    graph.node.insert(0, loop)
    if above is None:
        graph.initializer.append(numpy_helper.from_array(np.array(np.bool_(True)), "yes"))
    else:
        graph.node.insert(0, helper.make_node("Greater", ["most", "above"], ["yes"]))
        graph.node.insert(0, helper.make_node("ReduceMax", ["image"], ["most"], keepdims=0))
        graph.initializer.append(numpy_helper.from_array(np.array(np.float32(above)), "above"))
    graph.initializer.append(numpy_helper.from_array(np.array(np.int64(2**63 - 1)), "rounds"))
    return model.SerializeToString()


def description(change=None) -> dict:
    """The package's `mlm.json`, changed in place by `change(item)`."""
    item = copy.deepcopy(MLM)
    if change:
        change(item)
    return item


def output_entries(task, shapes, classes) -> list[dict]:
    """The entries of `mlm:output` for outputs of those names and shapes, batch axis included."""
    return [
        {
            "name": name,
            "tasks": [task],
            "result": {"shape": shape, "dim_order": ["any"] * len(shape), "data_type": "float32"},
            "classification:classes": [{"value": i, "name": c} for i, c in enumerate(classes)],
        }
        for name, shape in shapes.items()
    ]


def answer_of(task, shapes, *, classes=("a", "b"), **options):
    """Return what the package of such a model says of its outputs."""
    options = {"overlap": 4, "score_threshold": 0.5} | options
    return parse_output_spec(
        msgspec.convert(output_entries(task, shapes, classes), list[MlmOutput]),
        msgspec.convert(options, Hyperparameters),
    )


def for_task(task, shapes, *, classes=("a",), **options):
    """A change of `mlm.json` that makes it that of a model with such outputs."""

    def change(item):
        properties = item["properties"]
        properties["mlm:tasks"] = [task]
        properties["mlm:output"] = output_entries(task, shapes, classes)
        properties["mlm:hyperparameters"] = {"overlap": 4, "score_threshold": 0.5} | options

    return change


def write_package(folder: Path, change=None, *, weights=None) -> Path:
    """Write the package as a folder, its checksum included."""
    folder.mkdir(parents=True, exist_ok=True)
    weights = bright_pixels() if weights is None else weights
    (folder / "model.onnx").write_bytes(weights)
    item = description()
    item["assets"]["onnx"]["file:checksum"] = "1220" + hashlib.sha256(weights).hexdigest()
    if change:
        change(item)
    (folder / "mlm.json").write_text(json.dumps(item))
    return folder


@pytest.fixture
def package(tmp_path) -> Path:
    """The folder of the package."""
    return write_package(tmp_path / "bright")


@pytest.fixture
def package_cache(tmp_path, monkeypatch) -> Path:
    """A folder of this test's own in which packages are unpacked."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def archive(package, tmp_path) -> Path:
    """The package as an archive."""
    packing.pack(package, tmp_path / "model.tar.gz")
    return tmp_path / "model.tar.gz"


@pytest.fixture
def make_plan(tmp_path, package):
    """Plans a run of a scene through the package; gives the plan's address."""

    def make(
        scene,
        *,
        shard_tiles=1000,
        tolerated_failures=0.0,
        score_threshold=UNSET,
        model=package,
        work=None,
    ):
        uri = str(scene)
        info = describe_package(model)
        request = RunRequest.new(
            scene=SceneRef(uri=uri, etag=storage.etag(uri), dropped_at="2026-11-21T12:00:00+00:00"),
            model=ModelRef(name=info.description.name, uri=str(model), digest=info.digest),
            options=RunOptions(
                backend=Backend.LOCAL,
                tolerated_failures=tolerated_failures,
                score_threshold=score_threshold,
            ),
        )
        settings = PlanSettings(
            work_uri=work or str(tmp_path / f"work-{shard_tiles}"), lambda_shard_tiles=shard_tiles
        )
        return plan_run(request, settings).uri

    return make


class OracleModel:
    """Sees each value above 0 in a tile as one object: the box of its pixels in the tile."""

    batch_size = 1
    engine = None
    workers = 2
    candidates = 64

    def __call__(self, tiles):
        return [(self.see(tile[0]),) for tile in tiles]

    def shrink(self):
        if self.batch_size == 1:
            return False
        self.batch_size //= 2
        return True

    def see(self, tile):
        raw = np.zeros((5, self.candidates), np.float32)
        for place, value in enumerate(np.unique(tile[tile > 0])):
            rows, columns = np.nonzero(tile == value)
            x0, y0, x1, y1 = columns.min(), rows.min(), columns.max() + 1, rows.max() + 1
            box = ((x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0)
            raw[:, place] = (*box, 0.5 + value / 1000)
        return raw


def ships_package(folder, bands, *, tile_size, overlap):
    """Write a package without weights like the ships model's, of other bands; return its reference.

    Its files replace those of an earlier package in the folder.
    """
    item = json.loads((SHIPS / "mlm.json").read_text())
    properties = item["properties"]
    properties["mlm:input"][0]["bands"] = list(bands)
    shape = [-1, len(bands), tile_size, tile_size]
    properties["mlm:input"][0]["input"]["shape"] = shape
    properties["mlm:hyperparameters"]["overlap"] = overlap
    folder.mkdir(exist_ok=True)
    (folder / "mlm.json").write_text(json.dumps(item))
    return ModelRef(name="test", uri=str(folder), digest=packing.package_digest(folder))
