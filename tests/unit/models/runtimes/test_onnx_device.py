import numpy as np
import onnxruntime
import pytest

from swath.models.package import load_package
from swath.models.runtimes import onnx as runtime_onnx
from swath.models.runtimes.load import load_model
from swath.models.runtimes.time_limit import UNLIMITED
from tests.helpers import networks
from tests.helpers.packages import write_package

torch = pytest.importorskip("torch")
from swath.models.runtimes import onnx_device as runtime_onnx_device  # noqa: E402 (it imports torch)
from swath.models.runtimes.onnx_device import OnnxDeviceModel  # noqa: E402


@pytest.fixture
def package(tmp_path):
    model = networks.onnx_network().SerializeToString()
    return load_package(write_package(tmp_path / "network", networks.describe, weights=model))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_fed_on_its_device_it_says_what_it_says_fed_by_the_host(package, dtype):
    tiles = networks.tiles(3, dtype=dtype)
    session = onnxruntime.InferenceSession(
        package.weights[0].path, providers=["CPUExecutionProvider"]
    )
    device = torch.device("cpu")
    model = OnnxDeviceModel(session, package.description, device=device, batch_size=4, workers=2)

    answers = model(tiles)

    by_host = load_model(package)
    for tile, outputs in zip(tiles, answers, strict=True):
        for output, expected in zip(outputs, by_host([tile])[0], strict=True):
            np.testing.assert_allclose(output, expected, atol=1e-6)
    assert (model.batch_size, model.workers) == (4, 2)


def test_a_batch_that_the_model_insists_on_is_filled_up(package):
    session = onnxruntime.InferenceSession(
        networks.onnx_network(batch=4).SerializeToString(), providers=["CPUExecutionProvider"]
    )
    device = torch.device("cpu")
    model = OnnxDeviceModel(
        session, package.description, device=device, batch_size=4, static_batch=True
    )

    assert len(model(networks.tiles(3))) == 3


def test_it_is_chosen_where_torch_sees_the_gpu(package, monkeypatch):
    monkeypatch.setattr(runtime_onnx_device, "first_gpu", lambda: torch.device("cpu"))
    session = onnxruntime.InferenceSession(
        package.weights[0].path, providers=["CPUExecutionProvider"]
    )

    model = runtime_onnx._on_gpu(session, package.description, UNLIMITED, None)

    assert isinstance(model, OnnxDeviceModel)
    assert model.batch_size == package.description.batch_size
    assert len(model(networks.tiles(2))) == 2


def test_here_there_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)

    assert runtime_onnx_device.first_gpu() is None
