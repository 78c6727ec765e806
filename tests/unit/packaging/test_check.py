import importlib.util
import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from swath.errors import PackageError, SceneError
from swath.models import packing
from swath.packaging import check as module
from swath.packaging.check import check_package
from tests.helpers import networks
from tests.helpers.packages import bright_pixels, write_package

torch = pytest.importorskip("torch")

SHIPS = Path(__file__).resolve().parents[2] / "small_models" / "ships"


class Network(torch.nn.Module):
    """The network of `tests.helpers.networks`, its first weights off by `off`."""

    def __init__(self, off=0.0):
        super().__init__()
        held = {name: torch.from_numpy(value) for name, value in networks.weights().items()}
        self.first = torch.nn.Conv2d(networks.BANDS, len(held["b1"]), 3, padding=1)
        self.second = torch.nn.Conv2d(len(held["b1"]), 4 + networks.CLASSES, 1)
        self.first.load_state_dict({"weight": held["w1"] + off, "bias": held["b1"]})
        self.second.load_state_dict({"weight": held["w2"], "bias": held["b2"]})

    def forward(self, image):
        return torch.sigmoid(self.second(torch.relu(self.first(image))).flatten(2))


def sigmoid_network(*, batch="batch"):
    """Return the network as ONNX, with scores from 0 to 1."""
    model = networks.onnx_network(batch=batch)
    rows = next(node for node in model.graph.node if node.output[0] == "rows")
    rows.output[0] = "raw"
    model.graph.node.append(helper.make_node("Sigmoid", ["raw"], ["rows"]))
    return model


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a package of ONNX weights and, optionally, a `.pt2` module."""

    def write(model, *, other=None, change=None):
        def describe(item):
            networks.describe(item)
            if other:
                item["assets"]["pt2"] = {"href": "model.pt2", "roles": ["mlm:model"]}
            if change:
                change(item)

        folder = write_package(tmp_path / "package", describe, weights=model.SerializeToString())
        if other:
            image = torch.rand(2, networks.BANDS, networks.SIZE, networks.SIZE)
            free = ({0: torch.export.Dim("batch")},)
            program = torch.export.export(other.eval(), (image,), dynamic_shapes=free)
            torch.export.save(program, folder / "model.pt2")
        return folder

    return write


def test_weights_that_agree_pass(make):
    report = check_package(make(sigmoid_network(), other=Network()))

    assert report.passed
    ways = {(trial.weights, trial.runtime) for trial in report.trials}
    assert {("model.onnx", "onnx"), ("model.pt2", "torch")} <= ways
    assert (importlib.util.find_spec("openvino") is None) != (("model.onnx", "openvino") in ways)
    assert all(trial.difference < 1e-5 for trial in report.trials)
    assert all(trial.milliseconds > 0 for trial in report.trials)
    assert report.trials[0].batch == "any"


def test_weights_that_disagree_do_not(make):
    report = check_package(make(sigmoid_network(), other=Network(off=0.01)))

    assert not report.passed
    (fault,) = report.failures
    assert fault.startswith("model.pt2 (torch): its outputs differ")


def test_how_much_they_may_differ_is_a_choice(make):
    folder = make(sigmoid_network(), other=Network(off=0.001))

    assert not check_package(folder, tolerance=1e-6).passed
    assert check_package(folder, tolerance=0.5).passed


def test_tiles_of_a_scene_are_shown_too(make, make_scene):
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 50)).astype(np.uint8)
    scene = make_scene(pixels, names=("red", "green", "blue"))
    folder = make(sigmoid_network())

    assert check_package(folder, images=[str(scene)], tiles=3).tiles == 6
    with pytest.raises(SceneError, match="absent"):
        check_package(folder, images=["absent.tif"])


def test_a_batch_that_the_weights_insist_on_is_told(make):
    report = check_package(make(sigmoid_network(batch=2)))

    assert report.passed
    assert {trial.batch for trial in report.trials} == {"2"}


def with_nodes(model, *nodes):
    """Return the network with nodes between its result and its output."""
    for node in model.graph.node:
        if "rows" in node.output:
            node.output[0] = "before"
    model.graph.node.extend(nodes)
    return model


def test_a_network_that_mixes_tiles_is_found_out(make):
    mean = helper.make_node("ReduceMean", ["before"], ["mean"], axes=[0], keepdims=1)
    model = with_nodes(
        sigmoid_network(), mean, helper.make_node("Mul", ["before", "mean"], ["rows"])
    )

    report = check_package(make(model))

    assert any("mixes the tiles of a batch" in fault for fault in report.failures)


@pytest.mark.parametrize(("gpu", "tolerance"), [(True, 1e-2), (False, 1e-3)])
def test_what_a_gpu_computes_in_half_precision_may_differ_more(make, monkeypatch, gpu, tolerance):
    """Check the tolerance, which also applies between a tile alone and the same tile in a batch.

    These outputs differ by 0.4 % here, as a batch's other kernels would make them.
    """
    monkeypatch.setattr(module, "runs_on_gpu", lambda: gpu)
    mixed = 1 + np.array([0.004], np.float32)
    size = helper.make_node("Shape", ["before"], ["size"], start=0, end=1)
    many = helper.make_node("Greater", ["size", "one"], ["many"])
    factor = helper.make_node("Where", ["many", "mixed", "plain"], ["factor"])
    model = with_nodes(
        sigmoid_network(),
        size,
        many,
        factor,
        helper.make_node("Mul", ["before", "factor"], ["rows"]),
    )
    for name, value in {"one": np.ones(1, np.int64), "mixed": mixed, "plain": mixed**0}.items():
        model.graph.initializer.append(onnx.numpy_helper.from_array(value, name))

    def change(item):
        item["properties"]["mlm:hyperparameters"]["precision"] = "float16"

    report = check_package(make(model, change=change))

    assert report.tolerance == tolerance
    faults = [trial.failure for trial in report.trials if trial.runtime == "onnx"]
    assert [bool(fault) for fault in faults] == [not gpu]


def test_numbers_that_are_none_are_found_out(make):
    model = with_nodes(sigmoid_network(), helper.make_node("Div", ["before", "zero"], ["rows"]))
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    model.graph.initializer.append(zero)

    report = check_package(make(model))

    assert any("rows contains NaN or infinity" in fault for fault in report.failures)


def test_scores_beyond_one_are_found_out(make):
    report = check_package(make(networks.onnx_network()))

    assert any("scores range from 0 to 1" in fault for fault in report.failures)


def test_shapes_that_are_not_described_are_found_out(make):
    def change(item):
        item["properties"]["mlm:output"][0]["result"]["shape"] = [-1, 6, 99]

    report = check_package(make(sigmoid_network(), change=change))

    assert any("mlm:output describes [6, 99]" in fault for fault in report.failures)


def test_weights_that_nothing_here_can_run_are_a_fault(make, monkeypatch):
    monkeypatch.setitem(module._RUNTIMES, "pt2", (("torch", "no_such_module"),))

    report = check_package(make(sigmoid_network(), other=Network()))

    assert report.failures == ("model.pt2 (none): not tried: install no_such_module",)


def test_a_checksum_that_is_off(make):
    folder = make(sigmoid_network())
    (folder / "model.onnx").write_bytes(bright_pixels())

    with pytest.raises(PackageError, match="file:checksum says"):
        check_package(folder)


def test_an_archive_is_checked_as_its_folder_is(make, tmp_path):
    folder = make(sigmoid_network())
    packing.pack(folder, tmp_path / "model.tar.gz")

    report = check_package(tmp_path / "model.tar.gz")

    assert report.passed
    assert report.digest == check_package(folder).digest


def test_other_numbers_are_told_apart_from_a_broken_model(make):
    model = sigmoid_network()
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.FLOAT16
    model.graph.node.insert(0, helper.make_node("Cast", ["image"], ["floats"], to=1))
    model.graph.node[1].input[0] = "floats"

    assert any("swath feeds float32" in fault for fault in check_package(make(model)).failures)


def test_a_detector_in_three_formats(data, tmp_path):
    names = ["onnx", "torchscript.pt", "pt2"]
    source = json.loads((SHIPS / "mlm.json").read_text())
    source["assets"] = {
        name: {"href": f"ships_5band_256.{name}", "roles": ["mlm:model"]} for name in names
    }
    (tmp_path / "mlm.json").write_text(json.dumps(source))
    for name in names:
        file = f"ships_5band_256.{name}"
        (tmp_path / file).write_bytes((data / "models" / file).read_bytes())

    report = check_package(
        tmp_path, images=[str(data / "ships_s2" / "busan_S2L2A_5band.tif")], tiles=2
    )

    assert report.passed, report.failures
    assert {trial.format for trial in report.trials} == {"onnx", "torchscript", "pt2"}
