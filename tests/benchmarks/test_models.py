import numpy as np
import pytest

from benchmarks import scenes
from benchmarks.models import onnx_network
from benchmarks.models.network import (
    ARCHITECTURES,
    SMALL,
    STRIDE,
    cell_centers,
    layers,
    make_weights,
)
from benchmarks.models.package import (
    DETECTIONS_PER_TILE,
    calibrate_scores,
    make_packages,
    sample_tiles,
)
from benchmarks.sides.device import EmulatedDevice, make_outputs
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from tests.benchmarks.conftest import TINY

SIDE = 512


@pytest.mark.parametrize(("name", "millions"), [("1m", 1), ("10m", 10), ("30m", 30)])
def test_models_have_the_size_that_they_are_named_after(name, millions):
    count = sum(
        layer.outputs * (layer.inputs * layer.kernel**2 + 1)
        for layer in layers(ARCHITECTURES[name])
    )
    assert 0.9 < count / (millions * 1e6) < 1.1


def test_weights_follow_from_the_seed():
    first, again, other = make_weights(TINY), make_weights(TINY), make_weights(TINY, seed=1)
    assert all((first[name] == again[name]).all() for name in first)
    assert (first["stem.weight"] != other["stem.weight"]).any()


def test_candidates_lie_in_the_middles_of_their_cells():
    assert cell_centers(16).shape == (1, 2, 4)
    assert cell_centers(16)[0].T.tolist() == [[4, 4], [12, 4], [4, 12], [12, 12]]


def test_both_forms_are_packages_that_swath_runs_alike(packages):
    tiles = [np.rint(tile * 255).astype(np.uint8) for tile in sample_tiles(SIDE, 3)]
    outputs = {}
    for kind in ("onnx", "pt2"):
        package = load_package(getattr(packages, kind))
        assert [weights.format for weights in package.weights] == [kind]
        model = load_model(package, format=kind)
        outputs[kind] = np.stack([model([tile])[0][0] for tile in tiles])
    assert outputs["onnx"].shape == (3, 5, (SIDE // STRIDE) ** 2)
    np.testing.assert_allclose(outputs["onnx"], outputs["pt2"], atol=1e-3)


def test_packages_are_made_once(packages, monkeypatch):
    monkeypatch.setattr("benchmarks.models.package.calibrate_scores", None)
    monkeypatch.setattr(scenes, "CACHE_FOLDER", packages.folder.parents[1])
    assert make_packages(TINY) == packages


def test_about_as_many_candidates_as_wanted_reach_the_threshold():
    weights, tiles = make_weights(SMALL), sample_tiles(256, 4)
    calibrate_scores(SMALL, weights, tiles)
    found = onnx_session(onnx_network.build(SMALL, weights, 256)).run(None, {"image": tiles})[0]
    assert (found[:, 4] >= 0.5).sum() == pytest.approx(DETECTIONS_PER_TILE * len(tiles), rel=0.05)


def onnx_session(model):
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])


def test_a_device_gives_each_tile_an_answer_with_detections():
    device = EmulatedDevice(0.0)
    outputs = device([np.zeros((3, 512, 512), np.uint8)] * 5)
    assert len(outputs) == 5
    for (output,) in outputs:
        assert output.shape == make_outputs().shape[1:]
        assert (output[4] >= 0.5).sum() == DETECTIONS_PER_TILE


def test_a_device_takes_its_time_for_each_tile_whoever_waits(monkeypatch):
    slept = []
    monkeypatch.setattr("benchmarks.sides.device.time.perf_counter", lambda: 100.0)
    monkeypatch.setattr("benchmarks.sides.device.time.sleep", slept.append)
    device = EmulatedDevice(0.5)
    device([np.zeros(1)] * 2)
    device([np.zeros(1)] * 3)
    # The second batch waits for the first.
    assert slept == pytest.approx([1.0, 2.5])
    assert device.busy_seconds == 2.5
