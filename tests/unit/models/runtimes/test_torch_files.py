"""Tests of files saved elsewhere: on a GPU, in half precision, or with more than weights."""

import dataclasses
import io
import re
import warnings
import zipfile

import numpy as np
import pytest

from swath.errors import PackageError
from swath.models.package import Weights, load_package
from swath.models.runtimes.load import load_model
from tests.helpers import networks
from tests.helpers.exports import Trap, rewrite
from tests.helpers.networks import BANDS, CLASSES, SIZE
from tests.helpers.packages import write_package

torch = pytest.importorskip("torch")
from swath.models.runtimes.torch_files import (  # noqa: E402 (it imports torch)
    read_pt2,
    read_torchscript,
    to_module,
)

CPU = torch.device("cpu")
no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


class Network(torch.nn.Module):
    """A network whose graph names its device, for a tensor of its own and for its weights."""

    def __init__(self):
        super().__init__()
        self.conv = torch.nn.Conv2d(BANDS, 4 + CLASSES, 1)

    def forward(self, image):
        more = torch.arange(4 + CLASSES, device=image.device).view(1, -1, 1)
        return self.conv(image).flatten(2) + more


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return Network().eval()


@pytest.fixture(scope="module")
def exported(network, tmp_path_factory):
    """Return the path of the network as `.pt2`."""
    path = tmp_path_factory.mktemp("exported") / "model.pt2"
    free = ({0: torch.export.Dim("batch")},)
    program = torch.export.export(network, (torch.rand(2, BANDS, SIZE, SIZE),), dynamic_shapes=free)
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="module")
def traced(network, tmp_path_factory):
    """Return the path of the network as TorchScript."""
    path = tmp_path_factory.mktemp("traced") / "model.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch recommends .pt2 instead
        torch.jit.trace(network, torch.rand(1, BANDS, SIZE, SIZE)).save(path)
    return path


def on_cuda(name, content):
    """Return an archive's member as a host with a GPU would have written it."""
    if name.endswith(".json"):
        return re.sub(
            rb'"type":\s*"cpu",\s*"index":\s*null', b'"type": "cuda", "index": 0', content
        )
    return content.replace(b'torch.device("cpu")', b'torch.device("cuda:0")')


@no_gpu
def test_a_program_that_was_saved_on_a_gpu_runs_on_a_cpu(network, exported, tmp_path):
    moved = rewrite(exported, tmp_path / "cuda.pt2", on_cuda)
    assert moved.read_bytes().count(b'"cuda"') > 3
    image = torch.rand(3, BANDS, SIZE, SIZE)

    program = read_pt2(moved)

    torch.testing.assert_close(program.module()(image), network(image))


@no_gpu
def test_torchscript_that_was_saved_on_a_gpu_runs_on_a_cpu(network, traced, tmp_path):
    moved = rewrite(traced, tmp_path / "cuda.pt", on_cuda)
    assert b"cuda:0" in moved.read_bytes()
    image = torch.rand(1, BANDS, SIZE, SIZE)

    with torch.inference_mode():
        answer = read_torchscript(moved, CPU)(image)

    torch.testing.assert_close(answer, network(image))


@no_gpu
@pytest.mark.parametrize("format_", ["pt2", "torchscript"])
def test_a_package_of_them_runs_as_any_other(network, exported, traced, tmp_path, format_):
    source = {"pt2": exported, "torchscript": traced}[format_]
    moved = rewrite(source, tmp_path / f"moved{source.suffix}", on_cuda)

    def change(item):
        networks.describe(item)
        item["assets"] = {"w": {"href": moved.name, "roles": ["mlm:model"]}}

    folder = write_package(tmp_path / "package", change)
    moved.rename(folder / moved.name)
    (tile,) = networks.tiles(1)
    package = load_package(folder)
    scaled = torch.from_numpy(
        np.stack([(band - np.float32(90 + i)) / np.float32(50) for i, band in enumerate(tile)])
    )

    ((answer,),) = load_model(package)([tile])

    expected = network(scaled[None])[0].detach().numpy()
    np.testing.assert_allclose(answer, expected, atol=1e-4)


def test_a_traced_module_makes_its_tensors_on_the_device_that_it_runs_on(traced):
    image = torch.rand(1, BANDS, SIZE, SIZE, device="meta")

    module = read_torchscript(traced, torch.device("meta"))

    assert 'torch.device("meta")' in module.code
    assert 'torch.device("cpu")' not in module.code
    # tensors on meta and cpu cannot be added
    assert module(image).shape == (1, 4 + CLASSES, SIZE * SIZE)


def test_a_program_with_casts_runs_under_autocast(tmp_path):
    class Casts(Network):
        def forward(self, image):
            return super().forward(image).float() + self.conv(image).float().flatten(2)

    module = Casts().eval()
    image = torch.rand(2, BANDS, SIZE, SIZE)
    torch.export.save(torch.export.export(module, (image,)), tmp_path / "casts.pt2")
    runs = to_module(read_pt2(tmp_path / "casts.pt2"), CPU)

    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        answer = runs(image)

    assert answer.dtype == torch.float32
    torch.testing.assert_close(answer, module(image), atol=0.05, rtol=0.05)


def test_a_program_moves_to_another_device(exported):
    image = torch.rand(3, BANDS, SIZE, SIZE, device="meta")

    module = to_module(read_pt2(exported), torch.device("meta"))

    assert module(image).shape == (3, 4 + CLASSES, SIZE * SIZE)


def test_what_is_left_as_it_was_is_read_as_it_was(network, exported, traced):
    image = torch.rand(1, BANDS, SIZE, SIZE)

    torch.testing.assert_close(read_pt2(exported).module()(image), network(image))
    with torch.inference_mode():
        torch.testing.assert_close(read_torchscript(traced, CPU)(image), network(image))


@pytest.mark.parametrize(
    "part", ["model/data/constants/custom_obj_0", "model/data/aotinductor/model/model.so"]
)
def test_an_archive_with_more_than_weights_is_refused(exported, tmp_path, part):
    odd = rewrite(exported, tmp_path / "odd.pt2", lambda _, content: content)
    with zipfile.ZipFile(odd, "a") as archive:
        archive.writestr(part, b"\x80\x02.")

    with pytest.raises(PackageError, match=rf"odd\.pt2 contains {part}; .*no pickled objects"):
        read_pt2(odd)


def test_a_pickle_among_the_sample_inputs_is_not_read(exported, tmp_path):
    trap = tmp_path / "sprung"
    pickled = io.BytesIO()
    torch.save({"inputs": Trap(trap)}, pickled)
    bad = rewrite(
        exported,
        tmp_path / "bad.pt2",
        lambda name, content: pickled.getvalue() if "sample_inputs" in name else content,
    )

    with pytest.raises(Exception, match=r"deserializing|pickle|Weights only"):
        read_pt2(bad)
    assert not trap.exists()


def test_a_program_that_takes_half_precision_is_refused(tmp_path):
    class Half(torch.nn.Module):
        def forward(self, image):
            return image.flatten(2)

    image = torch.rand(1, BANDS, SIZE, SIZE).half()
    torch.export.save(torch.export.export(Half(), (image,)), tmp_path / "half.pt2")
    package = load_package(write_package(tmp_path / "p", networks.describe))
    package = dataclasses.replace(
        package, weights=(Weights(path=tmp_path / "half.pt2", format="pt2"),)
    )

    with pytest.raises(PackageError, match=r"half\.pt2 takes torch\.float16 .* feeds float32"):
        load_model(package)
