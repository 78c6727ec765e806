import dataclasses
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from swath.errors import NoGpuError, OutOfMemoryError, PackageError
from swath.models.package import load_package
from swath.models.runtimes import device
from swath.models.runtimes import onnx as runtime_onnx
from swath.models.runtimes.load import load_model
from tests.helpers import networks
from tests.helpers.packages import write_package


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a package of the network and loads it."""

    def build(change=networks.describe, **options):
        model = networks.onnx_network(**options).SerializeToString()
        return load_package(write_package(tmp_path / "network", change, weights=model))

    return build


def expected(tiles):
    """Return the network's outputs, by onnx's slow reference implementation."""
    mean = np.array([90, 91, 92], np.float32)[:, None, None]
    pixels = (np.stack(tiles).astype(np.float32) - mean) / np.float32(50)
    return ReferenceEvaluator(networks.onnx_network()).run(None, {"image": pixels})


def test_it_says_what_the_network_says_all_outputs_in_order(make):
    tiles, package = networks.tiles(1), make()
    described = msgspec.structs.replace(package.description, outputs=("rows", "prototypes"))

    (outputs,) = load_model(dataclasses.replace(package, description=described))(tiles)

    rows, map_ = expected(tiles)
    np.testing.assert_allclose(outputs[0], rows[0], atol=1e-5)
    np.testing.assert_allclose(outputs[1], map_[0], atol=1e-5)


def test_outputs_beyond_those_that_are_described_are_not_asked_for(make):
    (outputs,) = load_model(make())(networks.tiles(1))

    assert len(outputs) == 1


def test_a_cpu_is_given_a_tile_at_a_time_from_each_worker(make):
    model = load_model(make())

    assert (model.batch_size, model.workers) == (1, runtime_onnx.cpu_workers()[0])
    assert not model.shrink()


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_batch_that_the_model_insists_on_is_filled_up(make, count):
    model = load_model(make(batch=4))
    tiles = networks.tiles(count)

    answers = model(tiles)

    assert model.batch_size == 4
    assert not model.shrink()
    rows = expected(tiles)[0]
    assert len(answers) == count
    np.testing.assert_allclose([answer[0] for answer in answers], rows, atol=1e-5)


def test_what_it_says_does_not_depend_on_who_else_asks(make):
    model = load_model(make())
    tiles = networks.tiles(40)
    alone = [model([tile])[0][0] for tile in tiles]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda tile: model([tile])[0][0], tiles))

    np.testing.assert_array_equal(alone, together)


def test_outputs_without_a_batch_axis_come_from_one_tile_at_a_time(make):
    package = make()
    description = msgspec.structs.replace(package.description, batched=False)

    model = load_model(dataclasses.replace(package, description=description))

    assert model.batch_size == 1
    assert model(networks.tiles(1))[0][0].shape == (1, 6, 256)


def test_out_of_memory_has_its_name(make):
    with pytest.raises(OutOfMemoryError):
        load_model(make(fails=True))(networks.tiles(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"bands": 2}, r"takes tiles of \[2, 16, 16\].*describes \[3, 16, 16\]"),
        ({"size": 8}, r"takes tiles of \[3, 8, 8\]"),
    ],
)
def test_a_network_for_other_tiles_is_refused(make, options, message):
    with pytest.raises(PackageError, match=message):
        load_model(make(**options))


def test_tensorrt_must_be_there_to_be_asked_for(make):
    with pytest.raises(PackageError, match="no TensorRT; install"):
        load_model(make(), runtime="tensorrt")


@pytest.mark.parametrize(
    ("way", "precision", "names"),
    [
        ("onnx", "float16", ["CUDA", "CPU"]),
        ("tensorrt", "float32", ["Tensorrt", "CUDA", "CPU"]),
        ("tensorrt", "float16", ["Tensorrt", "CUDA", "CPU"]),
    ],
)
def test_on_a_gpu_the_precision_is_tensorrts_to_choose(make, monkeypatch, way, precision, names):
    monkeypatch.setattr(device, "runs_on_gpu", lambda: True)
    monkeypatch.setattr(runtime_onnx.onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(
        runtime_onnx.onnxruntime,
        "get_available_providers",
        lambda: [f"{name}ExecutionProvider" for name in ("Tensorrt", "CUDA", "CPU")],
    )
    description = msgspec.structs.replace(make().description, precision=precision)

    providers = [
        (p, {}) if isinstance(p, str) else p for p in runtime_onnx._providers(description, way)
    ]

    assert [name for name, _ in providers] == [f"{name}ExecutionProvider" for name in names]
    reduced = way == "tensorrt" and precision == "float16"
    assert providers[0][1].get("trt_fp16_enable") == ("1" if reduced else None)


def test_on_a_gpu_a_float32_model_keeps_all_its_bits(make, monkeypatch):
    monkeypatch.setattr(device, "runs_on_gpu", lambda: True)
    monkeypatch.setattr(runtime_onnx.onnxruntime, "preload_dlls", lambda: None)
    monkeypatch.setattr(
        runtime_onnx.onnxruntime, "get_available_providers", lambda: [runtime_onnx._CUDA]
    )

    (_, options), _ = runtime_onnx._providers(make().description, "onnx")

    # cuDNN does not benchmark all convolutions for each tile size.
    assert options == {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}


def test_a_session_is_repeatable_and_leaves_the_cores_to_others(make, monkeypatch):
    opened, asked = runtime_onnx.onnxruntime.InferenceSession, []

    def session(path, options, providers):
        asked.append(options)
        return opened(path, options, providers=providers)

    monkeypatch.setattr(runtime_onnx.onnxruntime, "InferenceSession", session)

    load_model(make())

    (options,) = asked
    assert options.use_deterministic_compute
    assert options.intra_op_num_threads == runtime_onnx.cpu_workers()[1]
    assert options.inter_op_num_threads == 1
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"


def test_nothing_is_remarked_on_where_there_is_no_gpu(make, caplog):
    load_model(make())

    assert not caplog.records


@pytest.fixture
def opens_on_the_cpu(monkeypatch):
    """Make ONNX Runtime behave as if CUDA cannot be used: it falls back to the CPU."""
    monkeypatch.setattr(
        runtime_onnx.onnxruntime,
        "get_available_providers",
        lambda: [runtime_onnx._CUDA, runtime_onnx._CPU],
    )
    opened, asked = runtime_onnx.onnxruntime.InferenceSession, []

    def session(path, options, providers):
        asked.append(len(providers))
        return opened(path, options, providers=providers[-1:])

    monkeypatch.setattr(runtime_onnx.onnxruntime, "InferenceSession", session)
    return asked


@pytest.mark.usefixtures("opens_on_the_cpu")
def test_a_gpu_that_cannot_be_used_is_never_replaced_by_the_cpu(make, monkeypatch):
    monkeypatch.setattr(device, "runs_on_gpu", lambda: True)
    monkeypatch.setattr(runtime_onnx.onnxruntime, "preload_dlls", lambda: None)

    with pytest.raises(NoGpuError, match=r"could not use the GPU for model\.onnx: the driver is"):
        load_model(make())


def test_where_there_is_no_gpu_none_is_asked_for(make, opens_on_the_cpu):
    model = load_model(make())

    assert opens_on_the_cpu == [1]
    assert (model.batch_size, model.workers) == (1, runtime_onnx.cpu_workers()[0])


@pytest.mark.parametrize("torch_has_cuda", [True, False])
def test_torch_and_onnx_runtime_share_their_cuda(make, monkeypatch, torch_has_cuda):
    """Check that torch's CUDA is used too: it has no cuRAND, which the CUDA provider requires."""
    ort, loaded, description = runtime_onnx.onnxruntime, [], make().description
    monkeypatch.setattr(device, "runs_on_gpu", lambda: True)
    monkeypatch.setattr(device, "library_uses_gpu", lambda _: torch_has_cuda)
    monkeypatch.setattr(ort, "get_available_providers", lambda: ["CUDAExecutionProvider"])
    monkeypatch.setattr(ort, "preload_dlls", lambda: loaded.append(1), raising=False)

    (first, _), *_ = runtime_onnx._providers(description, "onnx")

    assert first == "CUDAExecutionProvider"
    assert loaded == [1]


class Gpu:
    """A session that claims to run on a GPU."""

    def __init__(self, session):
        self.session = session

    def get_providers(self):
        return ["CUDAExecutionProvider", "CPUExecutionProvider"]

    def __getattr__(self, name):
        return getattr(self.session, name)


@pytest.fixture
def claims_a_gpu(monkeypatch):
    opened = runtime_onnx._open
    monkeypatch.setattr(runtime_onnx, "_open", lambda *args: Gpu(opened(*args)))


@pytest.mark.usefixtures("claims_a_gpu")
def test_on_a_gpu_the_batch_is_found_by_trying(make, monkeypatch):
    monkeypatch.setattr(
        runtime_onnx, "best_batch_size", lambda seconds, suggested: suggested + (seconds(3) > 0)
    )

    model = load_model(make())

    assert model.batch_size == 4 + 1
    assert model.workers == runtime_onnx.GPU_WORKERS
    tiles = networks.tiles(5)
    np.testing.assert_allclose([o[0] for o in model(tiles)], expected(tiles)[0], atol=1e-5)
    assert model.shrink()
    assert model.batch_size == 2


@pytest.mark.usefixtures("claims_a_gpu")
def test_on_a_gpu_a_batch_that_the_model_insists_on_is_not_tried(make, monkeypatch):
    monkeypatch.setattr(runtime_onnx, "best_batch_size", None)

    assert load_model(make(batch=2)).batch_size == 2
