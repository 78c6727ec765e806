from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from swath.errors import PackageError
from swath.models.package import load_package
from swath.models.runtimes.load import load_model
from tests.helpers import networks
from tests.helpers.packages import write_package

pytest.importorskip("openvino")


@pytest.fixture
def make(tmp_path):
    """Return a function that writes a package of the network and loads it."""

    def build(weights=None, **options):
        weights = weights or networks.onnx_network(**options).SerializeToString()
        return load_package(write_package(tmp_path / "network", networks.describe, weights=weights))

    return build


@pytest.mark.parametrize("batch", ["batch", 4])
def test_it_agrees_with_onnx_runtime_to_the_last_bits_of_a_float(make, batch):
    package = make(batch=batch)
    model, other = load_model(package, runtime="openvino"), load_model(package)
    tiles = networks.tiles(model.batch_size - (batch == 4))

    answers = model(tiles)

    assert len(answers) == len(tiles)
    for outputs, expected in zip(answers, other(tiles), strict=True):
        for ours, theirs in zip(outputs, expected, strict=True):
            assert ours.dtype == np.float32
            np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_answers_are_not_overwritten_and_do_not_depend_on_who_else_asks(make):
    model = load_model(make(), runtime="openvino")
    tiles = networks.tiles(40)
    alone = [model([tile])[0][0] for tile in tiles]

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda tile: model([tile])[0][0], tiles))

    np.testing.assert_array_equal(alone, together)
    assert len(np.unique(np.array(alone)[:, 0, 0])) == 40


def test_its_batches_cannot_be_smaller(make):
    model = load_model(make(), runtime="openvino")

    assert (model.batch_size, model.shrink()) == (1, False)


def test_what_is_no_model_is_refused(make):
    with pytest.raises(PackageError, match=r"model\.onnx cannot be run"):
        load_model(make(weights=b"not a model"), runtime="openvino")


def test_a_network_for_other_tiles_is_refused(make):
    with pytest.raises(PackageError, match=r"takes tiles of \[3, 8, 8\]"):
        load_model(make(size=8), runtime="openvino")
