import dataclasses
import importlib.util
import os
import pickle
import re
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest

from swath.errors import ModelOutputError, OutOfMemoryError, PackageError
from swath.package import Weights, load_package
from swath.runtimes import model as runtime
from swath.runtimes.model import (
    Batches,
    available_cpus,
    cpu_workers,
    load_model,
    memory_errors,
    per_tile,
)
from tests.packages import TILE, write_package

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


def test_a_model_answers_for_a_batch(loaded):
    model = load_model(loaded)
    tile = np.zeros((1, TILE, TILE), np.uint8)
    tile[0, 2, 3] = 25  # a quarter, once it is scaled

    ((raw,),) = model([tile])

    assert raw.shape == (5, TILE * TILE)
    assert raw.dtype == np.float32
    assert raw[:, 2 * TILE + 3].tolist() == [3.5, 2.5, 1, 1, 0.5]


def test_threads_are_as_many_as_the_cpus_given():
    assert available_cpus() == len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("cpus", "workers", "threads"), [(1, 1, 1), (2, 2, 1), (8, 8, 1), (12, 8, 1), (64, 8, 8)]
)
def test_a_cpu_takes_a_tile_a_thread_up_to_a_bound(monkeypatch, cpus, workers, threads):
    monkeypatch.setattr(runtime, "available_cpus", lambda: cpus)

    assert cpu_workers() == (workers, threads)


def test_batches_are_halved_down_to_one():
    batches = Batches(6)

    assert [batches.shrink() and batches.batch_size for _ in range(3)] == [3, 1, False]
    assert batches.batch_size == 1
    assert batches.filled(1) == 1


def test_a_batch_that_the_model_insists_on_is_not_halved():
    batches = Batches(4, fixed=True)

    assert not batches.shrink()
    assert batches.filled(3) == batches.batch_size == 4


def test_outputs_are_told_apart_by_tile():
    scores, boxes = np.arange(4), np.arange(8).reshape(4, 2)

    found = per_tile([scores, boxes], tiles=3, batch=4, batched=True)

    assert [(int(s), b.tolist()) for s, b in found] == [(0, [0, 1]), (1, [2, 3]), (2, [4, 5])]


def test_outputs_without_a_batch_axis_are_of_the_one_tile():
    boxes = np.zeros((7, 4))

    assert per_tile([boxes], tiles=1, batch=1, batched=False) == [(boxes,)]


@pytest.mark.parametrize("output", [np.zeros((1, 5)), np.float32(1)])
def test_there_must_be_an_answer_for_each_tile(output):
    with pytest.raises(ModelOutputError, match="for a batch of 2 tiles"):
        per_tile([np.zeros((2, 5)), np.asarray(output)], tiles=2, batch=2, batched=True)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("Failed to allocate memory for requested buffer of size 4096"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_out_of_memory_has_one_name(error):
    with (
        pytest.raises(OutOfMemoryError, match=re.escape(str(error)) or "^out of memory$"),
        memory_errors(),
    ):
        raise error


def test_other_errors_keep_their_names():
    with pytest.raises(ValueError, match="shape"), memory_errors():
        raise ValueError("a wrong shape")


@pytest.mark.parametrize("wanted", [{"runtime": "torch"}, {"format": "pt2"}])
def test_weights_that_are_not_offered_cannot_be_asked_for(loaded, wanted):
    with pytest.raises(PackageError, match=r"bright has model\.onnx; none can be run here"):
        load_model(loaded, **wanted)


def test_without_the_library_the_message_names_it(loaded, monkeypatch):
    monkeypatch.setattr(runtime.importlib.util, "find_spec", lambda _: None)

    with pytest.raises(PackageError, match=r"openvino run \.onnx, torch runs \.pt and \.pt2"):
        load_model(loaded)


def test_an_onnx_model_that_is_none_is_refused(tmp_path):
    package = load_package(write_package(tmp_path / "bad", weights=b"not a model"))

    with pytest.raises(PackageError, match=r"model\.onnx cannot be run"):
        load_model(package)


def test_an_onnx_model_of_another_tile_size_is_refused(tmp_path):
    def change(item):
        item["properties"]["mlm:input"][0]["input"]["shape"] = [-1, 1, 32, 32]

    package = load_package(write_package(tmp_path / "odd", change))

    with pytest.raises(PackageError, match=r"takes tiles of \[1, 16, 16\].*says \[1, 32, 32\]"):
        load_model(package)


@pytest.fixture
def loads(monkeypatch):
    """Tells which module would load which file in which way."""
    told = []

    def load(name):
        def of(weights, _description, way):
            told.append((name.removeprefix("swath.runtimes."), weights.format, way))

        return SimpleNamespace(load=of, cuda=SimpleNamespace(is_available=lambda: True))

    monkeypatch.setattr(
        runtime,
        "importlib",
        SimpleNamespace(import_module=load, util=SimpleNamespace(find_spec=lambda name: name)),
    )
    monkeypatch.setattr(runtime, "_GPU_DEVICES", [])
    return told


def offering(package, *formats):
    return dataclasses.replace(
        package, weights=tuple(Weights(path=package.weights[0].path, format=f) for f in formats)
    )


@pytest.mark.parametrize(
    ("formats", "wanted", "chosen"),
    [
        (["pt2", "onnx"], {}, ("onnx", "onnx", "onnx")),
        (["pt2", "torchscript"], {}, ("torch", "torchscript", "torch")),
        (["pt2", "onnx"], {"format": "pt2"}, ("torch", "pt2", "torch")),
        (["pt2", "onnx"], {"runtime": "openvino"}, ("openvino", "onnx", "openvino")),
        (["pt2", "onnx"], {"runtime": "tensorrt"}, ("onnx", "onnx", "tensorrt")),
        (["pt2", "onnx"], {"runtime": "compiled"}, ("torch", "pt2", "compiled")),
    ],
)
def test_on_a_cpu_the_fastest_way_is_taken_unless_told_otherwise(
    loaded, loads, formats, wanted, chosen
):
    load_model(offering(loaded, *formats), **wanted)

    assert loads == [chosen]


@pytest.mark.parametrize(
    ("formats", "chosen"),
    [
        (["onnx", "torchscript", "pt2"], ("torch", "pt2", "torch")),
        (["onnx", "torchscript"], ("torch", "torchscript", "torch")),
        (["onnx"], ("onnx", "onnx", "onnx")),
    ],
)
def test_on_a_gpu_torch_comes_first(loaded, loads, monkeypatch, tmp_path, formats, chosen):
    monkeypatch.setattr(runtime, "_GPU_DEVICES", [tmp_path])

    load_model(offering(loaded, *formats))

    assert loads == [chosen]


def test_without_onnx_runtime_openvino_runs_onnx(loaded, loads, monkeypatch):
    monkeypatch.setattr(
        runtime.importlib.util, "find_spec", lambda name: name if name == "openvino" else None
    )

    load_model(offering(loaded, "pt2", "onnx"))

    assert loads == [("openvino", "onnx", "openvino")]


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

    with pytest.raises(PackageError, match=f"holds .*/{name}"):
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
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (self.path, "w")


def torch_pickle(thing, tmp_path):
    pytest.importorskip("torch").save(thing, tmp_path / "pickle.pt")
    return (tmp_path / "pickle.pt").read_bytes()


def repack(source, target, add):
    """A copy of an archive with some of its members added or replaced."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        root = old.namelist()[0].split("/")[0]
        added = {f"{root}/{name}": content for name, content in add.items()}
        for name in old.namelist():
            if name not in added:
                new.writestr(name, old.read(name))
        for name, content in added.items():
            new.writestr(name, content)
    return target
