import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from swath.errors import InputError, PackageError
from swath.labels.read import read_collection
from swath.models.package import load_package
from swath.packaging.check import check_package
from swath.packaging.optimize import optimize_package
from swath.packaging.quantize import to_float16
from tests.helpers.networks import describe, onnx_network
from tests.helpers.packages import TILE, write_package

SHIPS = Path(__file__).resolve().parents[2] / "small_models" / "ships"


@pytest.fixture
def busan(data):
    return str(data / "ships_s2" / "busan_S2L2A_5band.tif")


def kinds_of(path):
    return {node.op_type for node in onnx.load(path).graph.node}


def test_half_precision_finds_what_the_original_finds(busan, tmp_path):
    found = optimize_package(SHIPS, tmp_path / "half", "float16", scenes=[busan], tolerance=0.05)

    assert found.agreement.total > 20
    assert found.loss <= 0.05
    assert found.bytes_after < 0.65 * found.bytes_before
    session = onnxruntime.InferenceSession(tmp_path / "half" / "model.onnx")
    types = {entry.type for entry in (*session.get_inputs(), *session.get_outputs())}
    assert types == {"tensor(float)"}
    assert check_package(tmp_path / "half").passed
    made = load_package(tmp_path / "half")
    assert made.description.name == "ships-float16"
    noted = json.loads((tmp_path / "half" / "mlm.json").read_text())["properties"]
    assert noted["swath:optimized"]["from"] == load_package(SHIPS).digest
    assert noted["swath:optimized"]["agreement"] == round(found.agreement.share, 4)


def test_eight_bits_are_calibrated_on_scenes(busan, tmp_path):
    found = optimize_package(
        SHIPS, tmp_path / "int8", "int8", scenes=[busan], tolerance=0.5, tiles=6
    )

    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds_of(tmp_path / "int8" / "model.onnx")
    assert found.bytes_after < 0.6 * found.bytes_before
    assert 0.5 <= found.agreement.share < 1
    assert found.tiles == 6


def test_too_much_lost_is_refused_and_nothing_is_left(busan, tmp_path):
    with pytest.raises(PackageError, match=r"int8 loses 0\.\d+ of agreement, more than the 0 of"):
        optimize_package(SHIPS, tmp_path / "int8", "int8", scenes=[busan], tolerance=0, tiles=4)

    assert list(tmp_path.iterdir()) == []


def test_with_labels_the_loss_is_measured_in_ap(data, busan, tmp_path):
    folder = data / "ships_s2"
    labels = read_collection(str(folder / "val.json"), str(folder))

    found = optimize_package(
        SHIPS, tmp_path / "half", "float16", scenes=[busan], tolerance=0.02, labels=labels, tiles=2
    )

    assert found.accuracy_before > 0.25
    assert found.loss == found.accuracy_before - found.accuracy_after
    assert abs(found.loss) < 0.02


def scaled_convolution():
    """Return a model: numbers divided by 65535, a convolution, and its output plus 1000.3."""
    held = {
        "most": np.float32(65535),
        "w": np.full((1, 1, 1, 1), 0.5, np.float32),
        "place": np.float32(1000.3),
    }
    graph = helper.make_graph(
        [
            helper.make_node("Sub", ["image", "most"], ["less"]),
            helper.make_node("Div", ["less", "most"], ["shares"]),
            helper.make_node("Conv", ["shares", "w"], ["seen"]),
            helper.make_node("Add", ["seen", "place"], ["found"]),
            helper.make_node("Identity", ["found"], ["places"]),
        ],
        "scaled",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 4, 4])],
        [helper.make_tensor_value_info("places", TensorProto.FLOAT, ["batch", 1, 4, 4])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_both_ends_keep_their_digits(tmp_path):
    """Check both ends: in half precision, 65535 is infinite and 1000.3 is 1000.5."""
    onnx.save(scaled_convolution(), tmp_path / "full.onnx")
    to_float16(tmp_path / "full.onnx", tmp_path / "half.onnx")
    tile = np.full((1, 1, 4, 4), 65535, np.float32)

    one, other = (
        onnxruntime.InferenceSession(tmp_path / name).run(None, {"image": tile})[0]
        for name in ("full.onnx", "half.onnx")
    )

    held = onnx.load(tmp_path / "half.onnx").graph.initializer
    assert {t.name: t.data_type for t in held if t.data_type == TensorProto.FLOAT16}.keys()
    np.testing.assert_allclose(one, 1000.3, rtol=1e-6)
    np.testing.assert_allclose(other, one, rtol=1e-6)


def test_no_onnx_weights_no_smaller_ones(tmp_path, busan):
    def change(item):
        item["assets"] = {"pt2": {"href": "model.pt2", "roles": ["mlm:model"]}}

    folder = write_package(tmp_path / "package", change)
    (folder / "model.onnx").rename(folder / "model.pt2")
    # The file is still an ONNX model by its bytes. That error comes first.
    with pytest.raises(PackageError, match="holds an ONNX model"):
        optimize_package(folder, tmp_path / "out", "int8", scenes=[busan], tolerance=0)


def test_what_is_missing_is_told_before_any_work(tmp_path):
    folder = write_package(
        tmp_path / "package", describe, weights=onnx_network().SerializeToString()
    )
    with pytest.raises(InputError, match="no scene to measure"):
        optimize_package(folder, tmp_path / "out", "int8", scenes=[], tolerance=0)
    with pytest.raises(InputError, match="already exists"):
        optimize_package(folder, folder, "int8", scenes=["x.tif"], tolerance=0)


def test_a_network_without_numbers_to_make_smaller(tmp_path):
    folder = write_package(tmp_path / "plain")
    to_float16(folder / "model.onnx", tmp_path / "half.onnx")
    tile = np.random.default_rng(0).random((2, 1, TILE, TILE), np.float32)

    one, other = (
        onnxruntime.InferenceSession(path).run(None, {"image": tile})[0]
        for path in (folder / "model.onnx", tmp_path / "half.onnx")
    )

    np.testing.assert_array_equal(one, other)
