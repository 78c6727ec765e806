import dataclasses
import functools
import itertools
import warnings
from concurrent.futures import ThreadPoolExecutor

import msgspec
import numpy as np
import pytest

from swath.errors import ModelOutputError, OutOfMemoryError, PackageError
from swath.models.package import Weights, load_package
from swath.models.runtimes.load import load_model
from tests.helpers import networks
from tests.helpers.networks import BANDS, CLASSES, SIZE
from tests.helpers.packages import write_package

torch = pytest.importorskip("torch")
from swath.models.runtimes import torch as runtime_torch  # noqa: E402 (it imports torch)
from swath.models.runtimes.torch import TorchModel  # noqa: E402

CPU = torch.device("cpu")
_names = itertools.count()


class Network(torch.nn.Module):
    """The network of `tests.helpers.networks`. It returns rows, and the map they come from."""

    def __init__(self):
        super().__init__()
        held = {name: torch.from_numpy(value) for name, value in networks.weights().items()}
        self.first = torch.nn.Conv2d(BANDS, len(held["b1"]), 3, padding=1)
        self.second = torch.nn.Conv2d(len(held["b1"]), 4 + CLASSES, 1)
        self.first.load_state_dict({"weight": held["w1"], "bias": held["b1"]})
        self.second.load_state_dict({"weight": held["w2"], "bias": held["b2"]})

    def forward(self, image):
        found = self.second(torch.relu(self.first(image)))
        return found.flatten(2), found


class Flat(Network):
    """A network whose graph holds a view that only one memory layout allows."""

    def forward(self, image):
        return self.second(torch.relu(self.first(image))).view(len(image), -1)


class Strided(Network):
    """A network whose graph holds strides, so that another memory layout gives other values."""

    def forward(self, image):
        found = self.second(torch.relu(self.first(image)))
        size = (len(image), 4 + CLASSES, SIZE * SIZE)
        return torch.as_strided(found, size, (size[1] * size[2], size[2], 1))


class Puts(Network):
    """A network that writes its result into a float32 tensor, so that fewer bits are impossible."""

    def forward(self, image):
        rows = super().forward(image)[0].transpose(0, 1)
        places = torch.arange(4 + CLASSES, device=image.device)
        whole = torch.zeros(rows.shape, device=image.device)
        return whole.index_put((places,), rows).transpose(0, 1)


class TwoInputs(Network):
    def forward(self, image, other):
        return super().forward(image + other)


@pytest.fixture
def package(tmp_path):
    model = networks.onnx_network().SerializeToString()
    return load_package(write_package(tmp_path / "network", networks.describe, weights=model))


@pytest.fixture
def save(package, tmp_path):
    """Return a function that saves a module in a format and returns its package."""

    def write(module, format_, *, batch=None, size=SIZE):
        path = tmp_path / f"{next(_names)}.{format_}"
        example = torch.rand(batch or 2, BANDS, size, size)
        given = (example, example) if isinstance(module, TwoInputs) else (example,)
        if format_ == "pt2":
            free = None if batch else tuple({0: torch.export.Dim("batch")} for _ in given)
            torch.export.save(torch.export.export(module, given, dynamic_shapes=free), path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch recommends .pt2 instead
                torch.jit.save(torch.jit.script(module), path)
        return dataclasses.replace(package, weights=(Weights(path=path, format=format_),))

    return write


def described(package, **changes):
    description = msgspec.structs.replace(package.description, **changes)
    return dataclasses.replace(package, description=description)


@pytest.mark.parametrize("format_", ["pt2", "torchscript"])
def test_it_says_what_the_same_network_says_as_onnx(package, save, format_):
    tiles = networks.tiles(3)
    onnx, model = load_model(package), load_model(save(Network().eval(), format_))

    for tile in tiles:
        for ours, theirs in zip(model([tile])[0], onnx([tile])[0], strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert (model.batch_size, model.workers) == (1, runtime_torch.cpu_workers()[0])


@pytest.mark.parametrize(("module", "turned"), [(Network, True), (Flat, False), (Strided, False)])
def test_the_faster_memory_layout_is_used_where_it_changes_nothing(
    package, save, module, turned, monkeypatch
):
    chosen = []
    takes = runtime_torch._takes_channels_last
    monkeypatch.setattr(
        runtime_torch, "_takes_channels_last", lambda *a: chosen.append(takes(*a)) or chosen[-1]
    )
    (tile,) = networks.tiles(1)

    (outputs,) = load_model(save(module().eval(), "pt2", batch=1))([tile])

    assert chosen == [turned]
    rows = load_model(package)([tile])[0][0]
    np.testing.assert_allclose(outputs[0].reshape(rows.shape), rows, atol=1e-5)


def test_what_it_says_does_not_depend_on_who_else_asks(save):
    model = load_model(save(Network().eval(), "pt2"))
    tiles = networks.tiles(40)
    alone = [model([tile])[0][0] for tile in tiles]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda tile: model([tile])[0][0], tiles))

    np.testing.assert_array_equal(alone, together)


@pytest.mark.parametrize("count", [1, 3, 4])
def test_a_batch_that_the_model_insists_on_is_filled_up(package, save, count):
    model, onnx = load_model(save(Network().eval(), "pt2", batch=4)), load_model(package)
    tiles = networks.tiles(count)

    answers = model(tiles)

    assert (model.batch_size, model.shrink()) == (4, False)
    assert len(answers) == count
    for tile, answer in zip(tiles, answers, strict=True):
        np.testing.assert_allclose(answer[0], onnx([tile])[0][0], atol=1e-5)


def test_a_program_for_other_tiles_is_refused(save):
    with pytest.raises(PackageError, match=r"takes tiles of \[3, 8, 8\]"):
        load_model(save(Network().eval(), "pt2", size=8))


def test_a_program_of_two_inputs_is_refused(save):
    with pytest.raises(PackageError, match=r"takes inputs .*image.*other.*swath feeds one"):
        load_model(save(TwoInputs().eval(), "pt2"))


def test_it_is_compiled_when_that_is_asked_for(package, save, monkeypatch):
    # The compiler itself is torch's, and requires a C++ compiler.
    monkeypatch.setattr(torch, "compile", functools.partial(torch.compile, backend="eager"))
    tiles = networks.tiles(1)

    model = load_model(save(Network().eval(), "pt2"), runtime="compiled")

    assert (model.batch_size, model.shrink()) == (1, False)
    np.testing.assert_allclose(model(tiles)[0][0], load_model(package)(tiles)[0][0], atol=1e-5)


def model_of(module, package, **options):
    return TorchModel(module, package.description, CPU, batch_size=4, **options)


def test_nested_outputs_come_as_their_tensors_in_order(package):
    def answer(pixels):
        boxes, labels = pixels[:, 0], pixels[:, 1, 0, 0].to(torch.int64)
        return {}, [{"boxes": boxes, "labels": labels}, (pixels[:, 2].double(),)]

    tiles = networks.tiles(2)
    package = described(package, outputs=("boxes", "labels", "scores"))

    answers = model_of(answer, package)(tiles)

    for tile, (boxes, labels, last) in zip(tiles, answers, strict=True):
        assert (boxes.shape, labels.shape, last.shape) == ((SIZE, SIZE), (), (SIZE, SIZE))
        assert (boxes.dtype, labels.dtype, last.dtype) == (np.float32, np.int64, np.float32)
        np.testing.assert_array_equal(last, (tile[2] - np.float32(92)) / np.float32(50))


def test_what_is_no_tensor_is_refused(package):
    with pytest.raises(ModelOutputError, match="returned a str, which is not a tensor"):
        model_of(lambda _: "nothing", package)(networks.tiles(1))


def test_outputs_without_a_batch_axis_come_from_one_tile_at_a_time(save):
    model = load_model(described(save(Network().eval(), "pt2"), batched=False))

    assert model.batch_size == 1
    assert model(networks.tiles(1))[0][0].shape == (1, 6, SIZE * SIZE)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_what_is_computed_in_few_bits_comes_back_in_float32(package, precision):
    tiles = networks.tiles(4)
    seen = []
    network = Network().eval()
    network.second.register_forward_hook(lambda _m, _i, out: seen.append(out.dtype))

    reduced = model_of(network, package, precision=precision)(tiles)

    assert seen == [getattr(torch, precision)]
    full = model_of(network, package)(tiles)
    for ours, exact in zip(reduced, full, strict=True):
        assert ours[0].dtype == np.float32
        np.testing.assert_allclose(ours[0], exact[0], atol=0.1)
    assert not np.array_equal(reduced[0][0], full[0][0])


def test_on_a_cpu_a_package_that_allows_fewer_bits_is_computed_in_float32(save):
    package = save(Network().eval(), "pt2")
    tiles = networks.tiles(1)

    reduced = load_model(described(package, precision="float16"))(tiles)

    np.testing.assert_array_equal(reduced[0][0], load_model(package)(tiles)[0][0])


def test_fewer_bits_can_be_rehearsed_on_a_cpu(package, save):
    tiles = networks.tiles(1)

    model = load_model(described(save(Network().eval(), "pt2")), precision="bfloat16")

    assert (model.engine.precision, model.engine.fallbacks) == ("bfloat16", [])
    ours, exact = model(tiles)[0][0], load_model(package)(tiles)[0][0]
    np.testing.assert_allclose(ours, exact, atol=0.1)
    assert not np.array_equal(ours, exact)


def test_a_graph_that_takes_no_fewer_bits_is_computed_in_float32_aloud(package, save, caplog):
    tiles = networks.tiles(1)

    model = load_model(save(Puts().eval(), "pt2"), precision="bfloat16")

    assert model.engine.precision == "float32"
    (fallback,) = model.engine.fallbacks
    assert "torch in bfloat16: RuntimeError: " in fallback
    assert fallback in caplog.text
    np.testing.assert_allclose(model(tiles)[0][0], load_model(package)(tiles)[0][0], atol=1e-5)


def test_out_of_memory_has_its_name(package):
    def full(_pixels):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")

    with pytest.raises(OutOfMemoryError, match=r"2\.00 GiB"):
        model_of(full, package)(networks.tiles(1))


def test_batches_are_halved(package):
    model = model_of(Network().eval(), package)

    assert model.shrink()
    assert model.batch_size == 2
