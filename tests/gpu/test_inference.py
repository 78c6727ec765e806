"""Tests of inference on a GPU: bit for bit where possible, near elsewhere, right under load."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from swath.errors import OutOfMemoryError  # noqa: E402 (torch first)
from swath.models.runtimes.batch_size import best_batch_size, make_batch_timer  # noqa: E402
from swath.models.runtimes.device_input import DeviceInput  # noqa: E402
from swath.models.runtimes.host_input import HostInput  # noqa: E402
from swath.models.runtimes.load import load_model  # noqa: E402
from swath.models.runtimes.torch import TorchModel  # noqa: E402
from swath.sagemaker.server.batcher import Batcher  # noqa: E402
from tests.helpers import bodies  # noqa: E402

pytestmark = pytest.mark.gpu

DTYPES = ["uint8", "int8", "uint16", "int16", "int32", "uint32", "float16", "float32"]
REDUCED = {"float16": 0.02, "bfloat16": 0.05}


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """Return the module's outputs on the CPU in float32, tile by tile."""
    known = bodies.package(tmp_path_factory.mktemp("expected")).description
    model = TorchModel(bodies.Body().eval(), known, torch.device("cpu"))
    return lambda tiles: [model([tile])[0][0] for tile in tiles]


def check_near(answers, expected, tolerance=2e-4):
    """Check all of one output, relative to its largest number."""
    for (ours, *_), theirs in zip(answers, expected, strict=True):
        assert ours.dtype == np.float32
        assert np.abs(ours - theirs).max() <= tolerance * max(1, np.abs(theirs).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_tiles_are_scaled_as_on_the_host_to_the_bit(device, tmp_path, dtype):
    known = bodies.package(tmp_path).description
    for bands_last, channels_last in itertools.product([False, True], repeat=2):
        given = bodies.tiles(3, dtype, bands_last=bands_last)
        feed = DeviceInput(known, device, channels_last=channels_last)
        with torch.inference_mode():
            scaled = feed.scale(feed.upload(given, 4))[:3].cpu().numpy()
        np.testing.assert_array_equal(scaled, HostInput(known)(given, 3))


@pytest.mark.parametrize("form", bodies.FILES)
def test_a_file_that_was_saved_on_a_cpu_answers(device, tmp_path, expected, form):
    given = bodies.tiles(7)

    model = load_model(bodies.package(tmp_path, form))

    check_near(model(given[: model.batch_size]), expected(given[: model.batch_size]))
    assert model.engine.fallbacks == []
    assert (model.engine.device == "cpu") == (device.type == "cpu")


@pytest.mark.parametrize("precision", REDUCED)
def test_it_computes_in_the_precision_that_the_package_allows(
    device, tmp_path, expected, precision
):
    """Check a module with casts inside, which an exported graph guards by assertions."""
    model = load_model(bodies.package(tmp_path, precision=precision), precision=precision)
    given = bodies.tiles(3)

    answers = [model([tile])[0] for tile in given]

    assert model.engine.precision == precision
    check_near(answers, expected(given), REDUCED[precision])
    assert any(
        (ours[0] != exact).any() for ours, exact in zip(answers, expected(given), strict=True)
    )


def test_each_thread_gets_its_own_tiles_answers(device, tmp_path):
    model = load_model(bodies.package(tmp_path))
    given = bodies.tiles(64)
    alone = [model([tile])[0][0] for tile in given]

    def wrong(seed):
        found = 0
        rng = np.random.default_rng(seed)
        for _ in range(60 if device.type == "cuda" else 3):
            places = rng.integers(0, 64, rng.integers(1, 1 + model.batch_size))
            answers = model([given[place] for place in places])
            for place, (answer, *_) in zip(places, answers, strict=True):
                found += np.abs(answer - alone[place]).max() > 1e-2
        return found

    with ThreadPoolExecutor(3) as pool:
        assert list(pool.map(wrong, range(3))) == [0, 0, 0]


def ask_at_once(model, requests):
    """Return a model's answers to requests of tiles that come at the same time."""
    batcher = Batcher(model)
    with ThreadPoolExecutor(len(requests)) as pool:
        answers = list(pool.map(batcher, requests))
    batcher.close()
    return answers


def test_requests_that_share_batches_get_their_own_answers(device, tmp_path, expected):
    given = bodies.tiles(16)

    answers = ask_at_once(load_model(bodies.package(tmp_path)), [[tile] for tile in given])

    check_near([answer for (answer,) in answers], expected(given))


class Wide(torch.nn.Module):
    """Needs 64 times its input."""

    def forward(self, tiles):
        wide = (tiles.repeat(1, 64, 1, 1) * 2).mean(dim=1)
        return wide.flatten(1)[:, None].repeat(1, 6, 1)[:, :, : bodies.CELL_COUNT]


def test_out_of_memory_has_its_name_and_smaller_batches_follow(gpu, tmp_path):
    known = bodies.package(tmp_path).description
    most = 64 << 20
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + most) / total)
    try:
        model = TorchModel(Wide(), known, gpu, batch_size=64)
        with pytest.raises(OutOfMemoryError):
            model(bodies.tiles(64))
        assert 1 <= best_batch_size(make_batch_timer(model, known), 64) < 64
        requests = [bodies.tiles(4, seed=seed) for seed in range(16)]
        assert [len(answers) for answers in ask_at_once(model, requests)] == [4] * 16
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_it_can_be_compiled(gpu, tmp_path, expected):
    model = load_model(bodies.package(tmp_path), runtime="compiled")
    given = bodies.tiles(min(3, model.batch_size))

    check_near(model(given), expected(given), 1e-3)


def test_onnx_runtime_is_fed_on_the_device(device, tmp_path, expected):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    if device.type == "cuda" and "CUDA" not in str(onnxruntime.get_available_providers()):
        pytest.skip("NOT PROVEN: this build of ONNX Runtime has no CUDA")
    torch.onnx.export(
        bodies.Body().eval(),
        (torch.rand(2, bodies.BANDS, bodies.SIZE, bodies.SIZE),),
        tmp_path / "body.onnx",
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
        external_data=False,
        verbose=False,
    )
    package = bodies.package(tmp_path, href="body.onnx")

    model = load_model(package)
    given = bodies.tiles(model.batch_size)

    assert (model.engine.device == "cpu") == (device.type == "cpu")
    check_near(model(given), expected(given))
