"""Tests of packages that detect nothing, or everything, in a scene: `model check` warns."""

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from swath.errors import InputError
from swath.packaging.check import check_package
from swath.packaging.optimize import optimize_package
from tests.helpers.packages import for_task, write_package

SIZE = 16


def brightness(*, sigmoids=1, middle=0.5):
    """Return a model of one class: chained sigmoids of each pixel's brightness above `middle`."""
    nodes = [
        helper.make_node("Sub", ["image", "middle"], ["less"]),
        helper.make_node("Mul", ["less", "steep"], ["s0"]),
        *(helper.make_node("Sigmoid", [f"s{i}"], [f"s{i + 1}"]) for i in range(sigmoids)),
        helper.make_node("Identity", [f"s{sigmoids}"], ["pred"]),
    ]
    held = {"middle": np.float32(middle), "steep": np.float32(40)}
    shape = ["batch", 1, SIZE, SIZE]
    graph = helper.make_graph(
        nodes,
        "brightness",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("pred", TensorProto.FLOAT, shape)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    opset = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opset, ir_version=8).SerializeToString()


def segmenter(folder, weights, *, classes=("hot",), **options):
    shapes = {"pred": [-1, len(classes), SIZE, SIZE]}
    return write_package(
        folder,
        for_task("semantic-segmentation", shapes, classes=classes, iou_threshold=0.5, **options),
        weights=weights,
    )


@pytest.fixture
def scenes(make_scene):
    """Return a dark scene, and one with a bright square."""
    dark = np.full((1, 40, 40), 10, np.uint8)
    mixed = dark.copy()
    mixed[:, 10:20, 10:20] = 90
    return str(make_scene(dark, name="dark.tif")), str(make_scene(mixed, name="mixed.tif"))


def test_a_scene_in_which_something_is_found_is_passed_in_silence(tmp_path, scenes):
    folder = segmenter(tmp_path / "m", brightness())

    assert check_package(folder, images=[scenes[1]], tiles=9).warnings == ()


def test_nothing_found_is_a_warning(tmp_path, scenes):
    folder = segmenter(tmp_path / "m", brightness())

    report = check_package(folder, images=[*scenes], tiles=18)

    assert report.passed
    (warning,) = report.warnings
    assert warning.startswith(f"{scenes[0]}: the package detects nothing in 9 tiles at")


def test_everything_found_is_a_warning_and_no_scene_is_needed_for_it(tmp_path, scenes):
    """Check a sigmoid of a sigmoid, which is 0.5 or more everywhere."""
    folder = segmenter(tmp_path / "m", brightness(), score_activation="sigmoid")

    warnings = check_package(folder, images=[scenes[0]], tiles=9).warnings

    assert [w.partition(":")[0] for w in warnings] == ["black and noise", scenes[0]]
    for warning in warnings:
        assert "the package assigns hot to 100.0%" in warning
        assert "is score_activation (sigmoid) right" in warning


def test_boxes_that_cover_everything_are_a_warning(package, make_scene, tmp_path):
    """Check a package with a box of 1 px for each pixel, whose score is the pixel's root."""
    bright = make_scene(np.full((1, 40, 40), 90, np.uint8), name="bright.tif")
    dark = make_scene(np.full((1, 40, 40), 1, np.uint8), name="dark.tif")

    everything, nothing = (
        check_package(package, images=[str(scene)], tiles=4).warnings for scene in (bright, dark)
    )

    assert "detects objects everywhere: 1024 objects cover 100.0% of 4 tiles" in everything[0]
    assert "box_format (cxcywh)" in everything[0]
    assert "detects nothing in 4 tiles at score_threshold 0.5" in nothing[0]
    assert "the best score is 0.1" in nothing[0]


@pytest.mark.parametrize("kind", ["pixels", "boxes"])
def test_a_smaller_package_is_not_proved_where_there_is_nothing_to_lose(
    package, make_scene, tmp_path, kind
):
    dark = make_scene(np.full((1, 40, 40), 1, np.uint8), name="nothing.tif")
    folder = package if kind == "boxes" else segmenter(tmp_path / "m", brightness())

    with pytest.raises(InputError, match=r"proves nothing: neither package detects an object in 9"):
        optimize_package(folder, tmp_path / "out", "float16", scenes=[str(dark)], tolerance=1)
    assert not (tmp_path / "out").exists()
