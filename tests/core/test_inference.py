from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from swath.detections import Detections
from swath.errors import SceneChangedError, SceneError, TransientError
from swath.inference import MAX_FAILURES, Inference, prepare
from swath.package import describe_package
from swath.payloads import TileCounts
from swath.scaling import Offset
from swath.tiles import Grid
from tests.packages import TILE, OracleModel


class FakeScene:
    """A band of zeros with one object, where `faults` may raise at a tile's corner."""

    def __init__(self, grid, faults=None, valid=True):
        self.pixels = np.zeros((1, grid.height, grid.width), np.uint8)
        self.pixels[0, 2:5, 2:6] = 7
        self.faults, self.valid = faults or {}, valid

    def read(self, window, _bands):
        x, y, width, height = window
        if fault := self.faults.get((x, y)):
            raise fault
        pixels = self.pixels[:, y : y + height, x : x + width]
        return pixels, np.full(pixels.shape[1:], self.valid)


@pytest.fixture
def description(package):
    return describe_package(package)[0]


@pytest.fixture
def infer(description):
    def make(scene=None, model=None, grid=None):
        grid = grid or Grid(width=64, height=16, size=TILE, overlap=0)
        return Inference(
            scene=scene or FakeScene(grid),
            bands=[1],
            grid=grid,
            description=description,
            model=model or OracleModel(),
        )

    return make


def run(inference):
    found = Detections.concatenate(list(inference.run(range(inference.grid.count))))
    assert inference.tiles.complete
    assert inference.tiles.planned == inference.grid.count
    return found


@pytest.mark.parametrize("batch_size", [1, 3, 4, 5])
def test_every_tile_is_answered_for_whatever_the_batch(infer, batch_size):
    model = OracleModel()
    model.batch_size = batch_size
    inference = infer(model=model)

    found = run(inference)

    assert found.box.tolist() == [[2, 2, 6, 5]]
    assert found.tile.tolist() == [0]
    assert inference.tiles == TileCounts(planned=4, succeeded=4)
    assert inference.next_tile == 4


def test_a_tile_that_cannot_be_read_is_counted_and_the_others_go_on(infer):
    grid = Grid(width=64, height=16, size=TILE, overlap=0)
    faults = {(16, 0): SceneError("x.tif cannot be read"), (32, 0): OSError("disk")}
    inference = infer(FakeScene(grid, faults))

    found = run(inference)

    assert len(found) == 1
    assert inference.tiles == TileCounts(planned=4, succeeded=2, failed=2)
    assert [(f.tile, f.column, f.row, f.cause) for f in inference.failures] == [
        (1, 16, 0, "x.tif cannot be read"),
        (2, 32, 0, "OSError: disk"),
    ]


@pytest.mark.parametrize("error", [SceneChangedError("replaced"), TransientError("no answer")])
def test_what_concerns_the_whole_scene_ends_the_shard(infer, error):
    grid = Grid(width=64, height=16, size=TILE, overlap=0)

    with pytest.raises(type(error)):
        run(infer(FakeScene(grid, {(16, 0): error})))


def test_a_tile_without_a_valid_pixel_is_skipped(infer):
    grid = Grid(width=64, height=16, size=TILE, overlap=0)
    inference = infer(FakeScene(grid, valid=False))

    assert len(run(inference)) == 0
    assert inference.tiles == TileCounts(planned=4, skipped=4)


class Faulty(OracleModel):
    """Fails for any batch with the object in it, in one of several ways."""

    batch_size = 4

    def __init__(self, fault):
        self.fault = fault

    def __call__(self, batch):
        raw = super().__call__(batch)
        bad = (batch > 0).any(axis=(1, 2, 3))
        if self.fault == "raises" and bad.any():
            raise MemoryError("out of memory")
        if self.fault == "nan":
            raw[bad] = np.nan
        if self.fault == "shape" and bad.any():
            return raw[:1]
        return raw


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("raises", "MemoryError: out of memory"),
        ("nan", "the model returned NaN"),
        ("shape", "the model returned 1 results for 4 tiles"),
    ],
)
def test_only_the_tile_that_the_model_fails_on_is_lost(infer, fault, cause):
    inference = infer(model=Faulty(fault))

    assert len(run(inference)) == 0
    assert inference.tiles == TileCounts(planned=4, succeeded=3, failed=1)
    assert [(f.tile, f.cause) for f in inference.failures] == [(0, cause)]


def test_only_the_first_failures_are_described(infer):
    grid = Grid(width=16 * (MAX_FAILURES + 5), height=16, size=TILE, overlap=0)
    scene = SimpleNamespace(read=raise_always)
    inference = infer(scene, grid=grid)

    run(inference)

    assert inference.tiles.failed == MAX_FAILURES + 5
    assert len(inference.failures) == MAX_FAILURES
    assert all(len(failure.cause) == 500 for failure in inference.failures)


def raise_always(window, bands):
    raise SceneError("x" * 1000)


def test_a_box_is_clipped_to_what_its_tile_saw(infer):
    class Wide(OracleModel):
        def __call__(self, _batch):
            raw = np.zeros((1, 5, 2), np.float32)
            raw[0, :, 0] = (8, 8, 40, 40, 0.9)
            raw[0, :, 1] = (30, 8, 4, 4, 0.9)  # its centre is in no pixel of the tile
            return raw

    grid = Grid(width=16, height=10, size=TILE, overlap=0)

    assert run(infer(model=Wide(), grid=grid)).box.tolist() == [[0, 0, 16, 10]]


def test_preparing_pads_fills_and_scales(description):
    description = msgspec.structs.replace(description, fill_value=3.0, scaling=(Offset(value=1.0),))
    pixels = np.array([[[10, 20], [np.nan, 1e300]]])
    valid = np.array([[True, False], [True, True]])

    tile = prepare(pixels, valid, description)

    assert tile.shape == (1, TILE, TILE)
    assert tile.dtype == np.float32
    assert tile[0, :2, :2].tolist() == [[9, 2], [2, 2]]
    assert (tile[0, 2:] == 2).all()
