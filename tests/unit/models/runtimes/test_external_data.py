"""Tests of ONNX tensors in files of their own: these lie in the package, or it is refused."""

import json

import onnx
import pytest
from onnx import TensorProto, numpy_helper

from swath.errors import PackageError
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from tests.helpers.packages import write_package


@pytest.fixture
def package(tmp_path):
    """Return a function that writes a package with a tensor in another file."""
    folder = write_package(tmp_path / "models" / "outside")
    described = json.loads((folder / "mlm.json").read_text())
    for asset in described["assets"].values():
        asset.pop("file:checksum", None)
    (folder / "mlm.json").write_text(json.dumps(described))

    def write(location, offset=0, length=None):
        model = onnx.load(folder / "model.onnx")
        tensor = next(one for one in model.graph.initializer if one.name == "boxes")
        content = numpy_helper.to_array(tensor).tobytes()
        for place in (folder, folder.parent, tmp_path):
            (place / "boxes.bin").write_bytes(content)
        tensor.ClearField("raw_data")
        tensor.ClearField("float_data")
        tensor.data_location = TensorProto.EXTERNAL
        length = len(content) if length is None else length
        for key, value in {"location": location, "offset": offset, "length": length}.items():
            entry = tensor.external_data.add()
            entry.key, entry.value = key, str(value)
        (folder / "model.onnx").write_bytes(model.SerializeToString())
        return load_package(folder)

    return write


def test_a_tensor_beside_the_model_is_read(package):
    assert load_model(package("boxes.bin"))


@pytest.mark.parametrize(
    ("location", "offset", "length"),
    [
        ("../boxes.bin", 0, None),
        ("../../boxes.bin", 0, None),
        ("x/../../boxes.bin", 0, None),
        ("{tmp_path}/boxes.bin", 0, None),
        ("/dev/zero", 0, None),
        ("absent.bin", 0, None),
        ("boxes.bin", 0, 1 << 40),
        ("boxes.bin", 1 << 40, None),
    ],
)
def test_what_lies_elsewhere_or_has_another_length_is_refused(
    package, tmp_path, location, offset, length
):
    with pytest.raises(PackageError, match=r"model\.onnx cannot be run"):
        load_model(package(location.format(tmp_path=tmp_path), offset, length))
