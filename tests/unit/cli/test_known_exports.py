"""Tests of exports on the command line, from `init` to detections, where shapes are ambiguous."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from onnx import TensorProto, helper, numpy_helper
from typer.testing import CliRunner

from swath.cli import EXIT_INPUT, app
from tests.helpers.known_exports import SIZE, Known, onnx_of

BOX = (20.0, 30.0, 10.0, 8.0)
"""A box of (center x, center y, width, height) in px: x from 15 to 25, y from 26 to 34."""
FOUND = ("ship", 15, 26, 25, 34)


@pytest.fixture
def swath(monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    return lambda *arguments: CliRunner().invoke(app, [*map(str, arguments)])


@pytest.fixture
def detect(swath, make_scene, tmp_path):
    """Return a function that makes a package of an export and runs it on a scene of one tile."""

    def run(content, library, *more, pixels=None):
        (tmp_path / "export.onnx").write_bytes(content)
        made, out = tmp_path / "made", tmp_path / "out"
        options = ["--from", library, "--bands", "r,g,b", "--out", made, *more]
        result = swath("model", "init", tmp_path / "export.onnx", *options)
        assert result.exit_code == 0, result.output
        pixels = np.full((3, SIZE, SIZE), 100, np.uint8) if pixels is None else pixels
        scene = make_scene(pixels, names=("r", "g", "b"))
        result = swath("run", scene, "--model", made, "--out", out)
        assert result.exit_code == 0, result.output
        rows = pq.read_table(out / "detections.parquet").to_pylist()
        sides = ("x_min", "y_min", "x_max", "y_max")
        return [(row["class"], *(round(row[side], 2) for side in sides)) for row in rows]

    return run


def known(outputs, metadata=None, **more):
    outputs = [(name, np.asarray(array, np.float32)) for name, array in outputs.items()]
    return Known("", "", outputs, (), metadata=metadata or {}, **more)


def test_yolov5_with_one_class_has_rows_of_six_too(detect):
    rows = np.zeros((252, 6))
    rows[0] = (*BOX, 0.95, 0.9)
    notes = {"stride": "32", "names": "{0: 'ship'}"}

    assert detect(onnx_of(known({"output": rows}, notes)), "ultralytics") == [FOUND]


@pytest.mark.parametrize("names", [["ship"], ["ship", "buoy"], ["ship", "buoy", "pier"]])
@pytest.mark.parametrize("notes", [True, False], ids=["metadata", "none"])
def test_rows_that_are_turned_stay_in_px(detect, names, notes):
    rows = np.zeros((84, 4 + len(names)))
    rows[:, :4] = np.random.default_rng(1).uniform(2, 62, (84, 4))
    rows[7, :5] = (*BOX, 0.9)
    metadata = {
        "task": "detect",
        "names": str(dict(enumerate(names))),
        "description": "Ultralytics YOLOv8n model",
    }
    more = [] if notes else ["--classes", ",".join(names)]
    content = onnx_of(known({"output0": rows}, metadata if notes else {}))

    assert detect(content, "ultralytics", *more) == [FOUND]


@pytest.mark.parametrize("names", [["ship"], ["ship", "buoy"]])
@pytest.mark.parametrize("found", [1, 5])
def test_few_boxes_that_could_be_corners_are_what_the_exporter_writes(detect, names, found):
    rows = np.zeros((40, 4 + len(names)))
    rows[:found, :4] = np.array([30, 30, 40, 40]) + np.arange(found)[:, None] / 4
    rows[:found, 4] = np.linspace(0.9, 0.5, found)
    metadata = {"task": "detect", "names": str(dict(enumerate(names)))}

    # One object remains, as the others overlap with it.
    assert detect(onnx_of(known({"output0": rows.T}, metadata)), "ultralytics") == [
        ("ship", 10, 10, 50, 50)
    ]


def test_four_outputs_of_an_nms_plugin_are_no_classifier(detect):
    boxes, scores = np.zeros((100, 4)), np.full(100, 0.8)
    boxes[0], boxes[1:] = (15, 26, 25, 34), (40, 40, 50, 50)
    outputs = {
        "num_dets": [1],
        "det_boxes": boxes,
        "det_scores": scores,  # rows beyond the count hold old values
        "det_classes": np.zeros(100),
    }

    assert detect(onnx_of(known(outputs)), "ultralytics", "--classes", "ship") == [FOUND]


@pytest.mark.parametrize("inside", [True, False], ids=["activation", "logits"])
def test_a_sigmoid_is_applied_once(detect, inside):
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1], keepdims=1),
        helper.make_node("Sub", ["mean", "middle"], ["logit"]),
        helper.make_node("Sigmoid" if inside else "Identity", ["logit"], ["mask"]),
    ]
    shape = ["b", 1, SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        "unet",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["b", 3, SIZE, SIZE])],
        [helper.make_tensor_value_info("mask", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.array(50, np.float32), "middle")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    pixels = np.zeros((3, SIZE, SIZE), np.uint8)
    pixels[:, 10:20, 30:45] = 255

    found = detect(
        model.SerializeToString(),
        "smp",
        *("--classes", "hot", "--scaling", "none", "--overlap", "16"),
        pixels=pixels,
    )

    assert found == [("hot", 30, 10, 45, 20)]


def test_what_can_be_read_in_two_ways_is_asked_about(swath, detect, tmp_path):
    """Check an ambiguous row: two corners, or a center and sides. `--set` decides."""
    rows = np.zeros((50, 5))
    rows[0] = (15, 26, 25, 34, 0.9)
    (tmp_path / "m.onnx").write_bytes(onnx_of(known({"output": rows})))
    options = ["--from", "ultralytics", "--bands", "r,g,b", "--classes", "ship"]

    result = swath("model", "init", tmp_path / "m.onnx", *options, "--out", tmp_path / "x")

    assert result.exit_code == EXIT_INPUT
    assert "can be read as a box as center and size in px" in result.stderr
    assert "(--set box_format=cxcywh), or as a box as two corners in px" in result.stderr
    assert not (tmp_path / "x").exists()
    found = detect(
        (tmp_path / "m.onnx").read_bytes(),
        "ultralytics",
        *("--classes", "ship", "--set", "box_format=xyxy"),
    )
    assert found == [FOUND]
    made = json.loads((tmp_path / "made" / "mlm.json").read_text())["properties"]
    assert made["mlm:hyperparameters"]["box_format"] == "xyxy"
