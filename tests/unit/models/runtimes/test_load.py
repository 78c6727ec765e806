import dataclasses
import importlib.util
import os
import pickle
import zipfile
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from swath.errors import NoGpuError, PackageError
from swath.messages import Engine
from swath.models.package import Weights, load_package
from swath.models.runtimes import device
from swath.models.runtimes import load as module
from swath.models.runtimes.load import load_model
from tests.helpers.packages import write_package

SHIPS = {
    "onnx": "ships_5band_256.onnx",
    "torchscript": "ships_5band_256.torchscript.pt",
    "pt2": "ships_5band_256.pt2",
}
needs_torch = pytest.mark.skipif(
    importlib.util.find_spec("torch") is None, reason="torch is not installed"
)


@pytest.fixture
def loaded(package):
    return load_package(package)


def with_weights(package, path, format_):
    return dataclasses.replace(package, weights=(Weights(path=path, format=format_),))


@pytest.mark.parametrize("wanted", [{"runtime": "torch"}, {"format": "pt2"}])
def test_weights_that_are_not_offered_cannot_be_asked_for(loaded, wanted):
    with pytest.raises(PackageError, match=r"bright has model\.onnx; no installed library runs"):
        load_model(loaded, **wanted)


def test_without_the_library_the_message_names_it(loaded, monkeypatch):
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(PackageError, match=r"openvino run \.onnx, and torch runs \.pt and \.pt2"):
        load_model(loaded)


def test_an_onnx_model_that_is_none_is_refused(tmp_path):
    package = load_package(write_package(tmp_path / "bad", weights=b"not a model"))

    with pytest.raises(PackageError, match=r"model\.onnx cannot be run"):
        load_model(package)


def test_an_onnx_model_of_another_tile_size_is_refused(tmp_path):
    def change(item):
        item["properties"]["mlm:input"][0]["input"]["shape"] = [-1, 1, 32, 32]

    package = load_package(write_package(tmp_path / "odd", change))

    with pytest.raises(
        PackageError, match=r"takes tiles of \[1, 16, 16\].*describes \[1, 32, 32\]"
    ):
        load_model(package)


@pytest.fixture
def loads(monkeypatch):
    """Return the list of attempted loads, with runtime and precision. A test may make some fail."""

    class Loads(list):
        uses_gpu = ("torch", "onnxruntime")
        fails = ()
        refuses = ()
        speaks = None

    told = Loads()

    class Told:
        batch_size, workers, engine = 1, 1, None

        def __init__(self, way):
            self.way = way

        def __call__(self, tiles):
            if self.way in told.fails:
                raise RuntimeError("Tensor dtype mismatch!")
            value = np.inf if self.way == told.speaks else 1
            return [(np.full((2, 2), value, np.float32),) for _ in tiles]

    def load(weights, description, way):
        loaded = (weights.format, way, description.precision)
        told.append(loaded)
        if loaded in told.refuses:
            raise PackageError(f"{weights.format} cannot be run")
        return Told(loaded)

    monkeypatch.setattr(
        module,
        "importlib",
        SimpleNamespace(
            import_module=lambda _: SimpleNamespace(load=load),
            util=SimpleNamespace(find_spec=lambda name: name),
        ),
    )
    monkeypatch.setattr(device, "library_uses_gpu", lambda name: name in told.uses_gpu)
    return told


@pytest.fixture
def gpu(monkeypatch):
    """Simulate a host with a GPU."""
    monkeypatch.setattr(device, "runs_on_gpu", lambda: True)
    monkeypatch.setattr(device, "supports_precision", lambda _: True)
    a10g = device.Device("cuda", "NVIDIA A10G", "580.95.05")
    cpu = device.Device("cpu", "cpu")
    monkeypatch.setattr(device, "describe", lambda kind: a10g if kind == "cuda" else cpu)


def offering(package, *formats, precision="float32"):
    description = msgspec.structs.replace(package.description, precision=precision)
    weights = tuple(Weights(path=package.weights[0].path, format=f) for f in formats)
    return dataclasses.replace(package, description=description, weights=weights)


@pytest.mark.parametrize(
    ("formats", "wanted", "chosen"),
    [
        (["pt2", "onnx"], {}, ("onnx", "onnx", "float32")),
        (["pt2", "torchscript"], {}, ("torchscript", "torch", "float32")),
        (["pt2", "onnx"], {"format": "pt2"}, ("pt2", "torch", "float32")),
        (["pt2", "onnx"], {"precision": "bfloat16"}, ("onnx", "onnx", "float32")),
        (["pt2"], {"precision": "bfloat16"}, ("pt2", "torch", "bfloat16")),
        (["pt2", "onnx"], {"runtime": "openvino"}, ("onnx", "openvino", "float32")),
        (["pt2", "onnx"], {"runtime": "tensorrt"}, ("onnx", "tensorrt", "float32")),
        (["pt2", "onnx"], {"runtime": "compiled"}, ("pt2", "compiled", "float32")),
    ],
)
def test_on_a_cpu_the_fastest_way_is_taken_unless_told_otherwise(
    loaded, loads, formats, wanted, chosen
):
    model = load_model(offering(loaded, *formats, precision="float16"), **wanted)

    assert loads == [chosen]
    assert (model.engine.device, model.engine.fallbacks) == ("cpu", [])


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("formats", "chosen"),
    [
        (["onnx", "torchscript", "pt2"], ("pt2", "torch", "float16")),
        (["onnx", "torchscript"], ("torchscript", "torch", "float16")),
        (["onnx"], ("onnx", "onnx", "float32")),
    ],
)
def test_on_a_gpu_torch_comes_first(loaded, loads, formats, chosen):
    model = load_model(offering(loaded, *formats, precision="float16"))

    assert loads == [chosen]
    assert model.engine == Engine(
        device="NVIDIA A10G",
        driver="580.95.05",
        weights=chosen[0],
        runtime=chosen[1],
        precision=chosen[2],
    )


HALF, FULL = ("pt2", "torch", "float16"), ("pt2", "torch", "float32")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize(
    ("what", "says"),
    [("fails", "RuntimeError: Tensor dtype mismatch!"), ("speaks", "NaN or infinity in float16")],
)
def test_half_precision_that_does_not_work_is_given_up_aloud(loaded, loads, caplog, what, says):
    setattr(loads, what, [HALF] if what == "fails" else HALF)

    model = load_model(offering(loaded, "pt2", precision="float16"))

    assert loads == [HALF, FULL]
    assert model.engine.precision == "float32"
    (fallback,) = model.engine.fallbacks
    assert fallback == f"model.onnx by torch in float16: {says}"
    assert fallback in caplog.text


@pytest.mark.usefixtures("gpu")
def test_a_gpu_that_only_emulates_a_precision_is_not_asked_for_it(loaded, loads, monkeypatch):
    monkeypatch.setattr(device, "supports_precision", lambda precision: precision != "bfloat16")

    model = load_model(offering(loaded, "pt2", precision="bfloat16"))

    assert loads == [FULL]
    assert model.engine.fallbacks == [
        "model.onnx by torch in bfloat16: this GPU only emulates bfloat16"
    ]


@pytest.mark.usefixtures("gpu")
def test_files_that_do_not_run_leave_it_to_the_next_on_the_same_device(loaded, loads):
    loads.refuses, loads.fails = [FULL], [("torchscript", "torch", "float32")]

    model = load_model(offering(loaded, "onnx", "torchscript", "pt2"))

    assert [way[0] for way in loads] == ["pt2", "torchscript", "onnx"]
    assert model.engine.device == "NVIDIA A10G"
    assert len(model.engine.fallbacks) == 2


@pytest.mark.usefixtures("gpu")
def test_no_file_is_run_on_a_cpu_because_it_fails_on_the_gpu(loaded, loads):
    loads.refuses = [("onnx", "onnx", "float32")]

    with pytest.raises(PackageError, match="onnx cannot be run"):
        load_model(offering(loaded, "onnx"))

    assert loads == loads.refuses  # not by OpenVINO either, which has only the CPU


@pytest.mark.usefixtures("gpu")
def test_a_library_without_cuda_is_used_on_a_gpu_host_only_where_that_is_allowed(
    loaded, loads, monkeypatch
):
    loads.uses_gpu = ("torch",)
    package = offering(loaded, "onnx")

    assert load_model(package).engine.device == "cpu"

    monkeypatch.setenv("SWATH_DEVICE", "cuda")
    with pytest.raises(NoGpuError, match="no installed library runs onnx of bright on a GPU"):
        load_model(package)
    with pytest.raises(NoGpuError):
        load_model(package, format="onnx")


@pytest.mark.usefixtures("gpu")
def test_one_way_that_is_asked_for_may_be_the_cpus(loaded, loads):
    loads.uses_gpu = ("torch",)

    model = load_model(offering(loaded, "onnx", "pt2"), format="onnx", runtime="onnx")

    assert model.engine.device == "cpu"


def test_a_model_that_does_not_take_a_black_tile_may_take_the_scenes(loaded, loads):
    loads.fails = [("onnx", "onnx", "float32"), ("onnx", "openvino", "float32")]

    model = load_model(offering(loaded, "onnx"))

    assert loads == [*loads.fails, loads.fails[0]]
    assert model.engine.runtime == "onnx"
    assert len(model.engine.fallbacks) == 2


def test_without_onnx_runtime_openvino_runs_onnx(loaded, loads, monkeypatch):
    monkeypatch.setattr(
        module.importlib.util, "find_spec", lambda name: name if name == "openvino" else None
    )

    load_model(offering(loaded, "pt2", "onnx"))

    assert loads == [("onnx", "openvino", "float32")]


@needs_torch
@pytest.mark.parametrize("format_", ["torchscript", "pt2"])
def test_a_pickle_is_not_opened(loaded, tmp_path, format_):
    ran = tmp_path / "ran"
    path = tmp_path / f"model.{format_}"
    path.write_bytes(pickle.dumps(Runs(str(ran))))

    with pytest.raises(PackageError, match="cannot be run"):
        load_model(with_weights(loaded, path, format_))
    assert not ran.exists()


@needs_torch
@pytest.mark.parametrize(
    "name",
    ["data/constants/opaque_obj_0", "data/constants/custom_obj_0", "data/aotinductor/model/x.so"],
)
def test_a_pt2_archive_that_holds_code_is_refused(loaded, data, tmp_path, name):
    path = repack(data / "models" / SHIPS["pt2"], tmp_path / "model.pt2", add={name: b"code"})

    with pytest.raises(PackageError, match=f"contains .*/{name}"):
        load_model(with_weights(loaded, path, "pt2"))


@needs_torch
def test_a_pickle_inside_a_pt2_archive_is_not_run(loaded, data, tmp_path):
    ran = tmp_path / "ran"
    path = repack(
        data / "models" / SHIPS["pt2"],
        tmp_path / "model.pt2",
        add={"data/sample_inputs/model.pt": torch_pickle(Runs(str(ran)), tmp_path)},
    )

    with pytest.raises(PackageError, match=r"model\.pt2 cannot be run"):
        load_model(with_weights(loaded, path, "pt2"))
    assert not ran.exists()
    assert "TORCH_FORCE_WEIGHTS_ONLY_LOAD" not in os.environ


class Runs:
    """An object that creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def torch_pickle(thing, tmp_path):
    pytest.importorskip("torch").save(thing, tmp_path / "pickle.pt")
    return (tmp_path / "pickle.pt").read_bytes()


def repack(source, target, add):
    """Copy an archive with some members added or replaced."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        root = old.namelist()[0].split("/")[0]
        added = {f"{root}/{name}": content for name, content in add.items()}
        for name in old.namelist():
            if name not in added:
                new.writestr(name, old.read(name))
        for name, content in added.items():
            new.writestr(name, content)
    return target
