"""Tests of ONNX models that a package may not hold, in each library that runs them."""

import importlib.util

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from swath.errors import PackageError
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from tests.helpers import networks
from tests.helpers.packages import write_package

RUNTIMES = [
    "onnx",
    pytest.param(
        "openvino",
        marks=pytest.mark.skipif(
            importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
        ),
    ),
]


@pytest.fixture
def refused(tmp_path):
    """Return a function that loads a package of a model and expects it to be refused."""

    def load(model, runtime, reason):
        content = model if isinstance(model, bytes) else model.SerializeToString()
        folder = write_package(tmp_path / "package", networks.describe, weights=content)
        with pytest.raises(PackageError, match=reason):
            load_model(load_package(folder), runtime=runtime)

    return load


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(
    ("kind", "name"),
    [(TensorProto.FLOAT16, "float16|f16"), (TensorProto.UINT8, "uint8|u8")],
)
def test_a_model_that_takes_other_numbers(refused, runtime, kind, name):
    model = networks.onnx_network()
    model.graph.input[0].type.tensor_type.elem_type = kind
    model.graph.node.insert(
        0, helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT)
    )
    model.graph.node[1].input[0] = "floats"

    refused(model, runtime, f"takes .*({name}).* tiles; swath feeds float32")


def test_a_model_of_an_edition_that_is_not_known_yet(refused):
    model = networks.onnx_network()
    model.opset_import[0].version = 9999

    refused(model, "onnx", r"model\.onnx cannot be run: .*opset|version")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("location", ["../outside.bin", "{absolute}", "link.bin"])
def test_a_model_whose_numbers_lie_outside_the_package(refused, tmp_path, runtime, location):
    outside = tmp_path / "outside.bin"
    model = networks.onnx_network()
    tensor = next(t for t in model.graph.initializer if t.name == "w1")
    outside.write_bytes(onnx.numpy_helper.to_array(tensor).tobytes())
    assert len(outside.read_bytes()) == int(np.prod(tensor.dims)) * 4
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location.format(absolute=outside)
    if location == "link.bin":
        (tmp_path / "package").mkdir()
        (tmp_path / "package" / "link.bin").symlink_to(outside)

    refused(model, runtime, r"model\.onnx cannot be run|link\.bin is not a plain file")
