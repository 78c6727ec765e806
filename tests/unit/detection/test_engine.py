import contextlib
import dataclasses
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.detection import engine as module
from swath.detection.detections import Detections, TileResult
from swath.detection.engine import MAX_DESCRIBED_FAILURES, Inference
from swath.errors import (
    ModelOutputError,
    OutOfMemoryError,
    SceneChangedError,
    SceneError,
    TransientError,
)
from swath.messages import TileCounts
from swath.models.mlm import parse_description
from swath.raster.reader import TilePixels
from swath.raster.scene_info import SceneInfo
from swath.raster.tiles import Grid
from tests.helpers.packages import MLM, TILE, OracleModel

DESCRIPTION = parse_description(json.dumps(MLM).encode())
ROW = Grid(width=64, height=16, size=TILE, overlap=0)


INFO = SceneInfo(
    uri="x.tif",
    width=64,
    height=16,
    count=1,
    dtype="uint8",
    band_names=(None,),
    colors=(None,),
    nodata=(None,),
    masked=False,
    crs=None,
    transform=None,
    gcps=(),
    rpcs=False,
    block_shape=(16, 16),
    units=(None,),
)


class FakeScene:
    """A scene of zeros with one object. `faults` maps a tile's corner to the error it raises."""

    def __init__(self, grid=ROW, faults=None, invalid=()):
        self.pixels = np.zeros((1, grid.height, grid.width), np.uint8)
        self.pixels[0, 2:5, 2:6] = 7
        self.faults, self.invalid = faults or {}, invalid
        self.info = dataclasses.replace(INFO, width=grid.width, height=grid.height)
        self.closed = 0

    def tiles(self, grid, numbers):
        """Yield tiles as `read_tiles` does."""
        try:
            for number in numbers:
                yield self.tile(grid.tile(number))
        finally:
            self.closed += 1

    def tile(self, tile):
        """Return a tile as `read_tile` does."""
        x, y, width, height = tile.window
        fault = self.faults.get((x, y))
        if isinstance(fault, SceneChangedError | TransientError):
            raise fault
        if fault:
            return TilePixels(tile, None, None, error=fault)
        pixels = self.pixels[:, y : y + height, x : x + width]
        blank = tile.index in self.invalid
        return TilePixels(tile, pixels, np.zeros(pixels.shape[1:], bool) if blank else None)


@pytest.fixture(autouse=True)
def reader(monkeypatch):
    monkeypatch.setattr(
        module, "read_tiles", lambda scene, grid, _bands, numbers: scene.tiles(grid, numbers)
    )
    monkeypatch.setattr(module, "read_tile", lambda scene, tile, _bands: scene.tile(tile))


@pytest.fixture(autouse=True)
def tile_by_tile(monkeypatch):
    """Make the engine yield its results after every tile."""
    monkeypatch.setattr(module, "MIN_TILES_PER_YIELD", 1)


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    assert not [t for t in threading.enumerate() if t.name.startswith("infer")]


@pytest.fixture
def infer():
    def make(scene=None, model=None, grid=ROW, **options):
        return Inference(
            scene=scene or FakeScene(grid),
            bands=[1],
            grid=grid,
            description=DESCRIPTION,
            model=model or OracleModel(),
            **options,
        )

    return make


def run(inference):
    found = Detections.concatenate(list(inference.run(range(inference.grid.count))))
    assert inference.tiles.is_complete
    assert inference.tiles.planned == inference.grid.count
    assert inference.next_tile == inference.grid.count
    return found


def many(count):
    return Grid(width=TILE * count, height=TILE, size=TILE, overlap=0)


def with_size(model, batch_size, workers=2):
    model.batch_size, model.workers = batch_size, workers
    return model


@pytest.mark.parametrize("batch_size", [1, 3, 4, 5])
def test_every_tile_is_answered_for_whatever_the_batch(infer, batch_size):
    inference = infer(model=with_size(OracleModel(), batch_size))

    found = run(inference)

    assert found.box.tolist() == [[2, 2, 6, 5]]
    assert found.tile.tolist() == [0]
    assert inference.tiles == TileCounts(planned=4, succeeded=4)


def test_a_tile_that_cannot_be_read_is_counted_and_the_others_go_on(infer):
    faults = {(16, 0): SceneError("x.tif cannot be read"), (32, 0): OSError("disk")}
    inference = infer(FakeScene(ROW, faults))

    found = run(inference)

    assert len(found) == 1
    assert inference.tiles == TileCounts(planned=4, succeeded=2, failed=2)
    assert [(f.tile, f.column, f.row, f.cause) for f in inference.failures] == [
        (1, 16, 0, "x.tif cannot be read"),
        (2, 32, 0, "OSError: disk"),
    ]


@pytest.mark.parametrize("error", [SceneChangedError("replaced"), TransientError("no answer")])
def test_what_concerns_the_whole_scene_ends_the_shard(infer, error):
    scene = FakeScene(ROW, {(32, 0): error})

    with pytest.raises(type(error)):
        run(infer(scene))
    assert scene.closed == 1


def test_a_tile_without_a_valid_pixel_is_not_shown(infer):
    inference = infer(FakeScene(invalid=range(4)))

    assert len(run(inference)) == 0
    assert inference.tiles == TileCounts(planned=4, skipped=4)


def test_progress_is_reported_for_empty_tiles(infer, monkeypatch):
    monkeypatch.setattr(module, "_MAX_EMPTY_TILES", 10)
    inference = infer(FakeScene(grid := many(35), invalid=range(1, 35)), grid=grid)

    told = [inference.next_tile for _ in inference.run(range(35))]

    assert told == [1, 11, 21, 31, 35]


class Faulty(OracleModel):
    """A model that fails for any batch with the object in it, in one of several modes."""

    def __init__(self, fault, batch_size=4):
        self.fault = fault
        with_size(self, batch_size)

    def __call__(self, tiles):
        answers = super().__call__(tiles)
        bad = [(tile == 7).any() for tile in tiles]
        if self.fault == "raises" and any(bad):
            raise ZeroDivisionError("by zero")
        if self.fault == "memory" and any(bad):
            raise OutOfMemoryError("out of memory")
        if self.fault == "count" and any(bad):
            return answers[1:]
        if self.fault == "nan":
            return [(a[0] * np.nan,) if b else a for a, b in zip(answers, bad, strict=True)]
        if self.fault == "shape":
            return [(a[0][:, :, None],) if b else a for a, b in zip(answers, bad, strict=True)]
        return answers


@pytest.mark.parametrize("batch_size", [1, 2, 4])
@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        ("raises", "ZeroDivisionError: by zero"),
        ("memory", "out of memory"),
        ("count", "the model returned 0 results for 1 tiles"),
        ("nan", "the model returned NaN"),
        ("shape", "the model returned"),
    ],
)
def test_only_the_tile_that_the_model_fails_on_is_lost(infer, fault, cause, batch_size):
    inference = infer(model=Faulty(fault, batch_size))

    assert len(run(inference)) == 0
    assert inference.tiles == TileCounts(planned=4, succeeded=3, failed=1)
    assert [f.tile for f in inference.failures] == [0]
    assert inference.failures[0].cause.startswith(cause)


def test_outputs_that_cannot_be_decoded_fail_only_their_tile(infer, monkeypatch):
    inference = infer(model=with_size(OracleModel(), 4))
    detect = inference.task.decode

    def fails_on_one(outputs, tile, valid):
        if tile.index == 1:
            raise IndexError("of a class that is not there")
        return detect(outputs, tile, valid)

    monkeypatch.setattr(type(inference.task), "decode", staticmethod(fails_on_one))

    assert len(run(inference)) == 1
    assert [(f.tile, f.cause) for f in inference.failures] == [
        (1, "IndexError: of a class that is not there")
    ]


class Small(OracleModel):
    """A model whose memory holds at most `fits` tiles."""

    def __init__(self, fits, batch_size, workers):
        self.fits, self.asked = fits, []
        with_size(self, batch_size, workers)

    def __call__(self, tiles):
        self.asked.append(len(tiles))
        if len(tiles) > self.fits:
            raise OutOfMemoryError("out of memory")
        return super().__call__(tiles)


@pytest.mark.parametrize("workers", [1, 3])
@pytest.mark.parametrize(("fits", "settled"), [(16, 16), (6, 4), (1, 1)])
def test_out_of_memory_makes_batches_smaller_and_loses_nothing(infer, workers, fits, settled):
    model = Small(fits, 16, workers)
    inference = infer(model=model, grid=many(100))

    assert len(run(inference)) == 1
    assert inference.tiles == TileCounts(planned=100, succeeded=100)
    assert model.batch_size == settled
    # Batches that were read before the first failure are split. Later ones are read smaller.
    assert sum(count > fits for count in model.asked) <= 2 * (workers + 3)


def test_a_tile_that_fits_no_memory_has_failed(infer):
    inference = infer(model=Small(0, 4, 2))

    run(inference)

    assert inference.tiles == TileCounts(planned=4, failed=4)
    assert {f.cause for f in inference.failures} == {"out of memory"}


def test_only_the_first_failures_are_described(infer):
    grid = many(MAX_DESCRIBED_FAILURES + 5)
    faults = {(TILE * i, 0): SceneError("x" * 1000) for i in range(grid.count)}
    inference = infer(FakeScene(grid, faults), grid=grid)

    run(inference)

    assert inference.tiles.failed == MAX_DESCRIBED_FAILURES + 5
    assert [f.tile for f in inference.failures] == list(range(MAX_DESCRIBED_FAILURES))
    assert all(len(failure.cause) == 500 for failure in inference.failures)


def test_a_box_is_clipped_to_what_its_tile_saw(infer):
    class Wide(OracleModel):
        def see(self, _tile):
            raw = np.zeros((5, 2), np.float32)
            raw[:, 0] = (8, 8, 40, 40, 0.9)
            raw[:, 1] = (30, 8, 4, 4, 0.9)  # its center is in no pixel of the tile
            return raw

    grid = Grid(width=16, height=10, size=TILE, overlap=0)

    assert run(infer(model=Wide(), grid=grid)).box.tolist() == [[0, 0, 16, 10]]


def test_the_model_is_shown_whole_tiles_in_the_scenes_numbers(infer):
    class Shown(OracleModel):
        def see(self, tile):
            assert tile.shape == (TILE, TILE)
            assert tile.dtype == np.uint8
            assert not tile[10:].any()
            return super().see(tile)

    grid = Grid(width=40, height=10, size=TILE, overlap=0)

    run(inference := infer(model=Shown(), grid=grid))

    assert inference.tiles.succeeded == 3


class Labeling:
    """A task that detects no object and returns the tile's number as the class."""

    def decode(self, _outputs, tile, _valid):
        return TileResult(Detections.empty(), np.full((2, 2), tile.index % 256, np.uint8))


def test_labels_are_passed_in_order_before_their_detections(infer, monkeypatch):
    monkeypatch.setattr(module, "create_task", lambda *_: Labeling())
    told = []
    inference = infer(
        FakeScene(grid := many(30), {(TILE, 0): OSError("disk")}),
        model=with_size(OracleModel(), 4, 3),
        grid=grid,
        on_labels=lambda tile, labels: told.append((tile.index, int(labels[0, 0]))),
    )

    for _ in inference.run(range(30)):
        assert told[-1][0] == inference.next_tile - 1

    assert told == [(i, i) for i in range(30) if i != 1]


class Together(OracleModel):
    """A model that answers the first calls only when as many calls as workers are in progress."""

    def __init__(self, workers):
        with_size(self, 2, workers)
        self.together = threading.Barrier(workers)
        self.turn = itertools.count()

    def __call__(self, tiles):
        if next(self.turn) < self.together.parties:
            self.together.wait(30)
        return super().__call__(tiles)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_call_the_model_side_by_side(infer, workers):
    inference = infer(model=Together(workers), grid=many(40))

    run(inference)

    assert inference.tiles.succeeded == 40


class Backwards(OracleModel):
    """A model that answers the second of each two calls first."""

    def __init__(self):
        with_size(self, 1, 2)
        self.calls, self.second = itertools.count(), threading.Event()

    def __call__(self, tiles):
        if next(self.calls) % 2:
            self.second.set()
        else:
            assert self.second.wait(30)
            self.second.clear()
        return super().__call__(tiles)


def test_results_come_in_the_order_of_the_tiles(infer):
    grid = many(20)
    scene = FakeScene(grid)
    scene.pixels[0, 3:5, 3::TILE] = 9

    inference = infer(scene, model=Backwards(), grid=grid)
    found, told = [], []
    for detections in inference.run(range(20)):
        found += detections.tile.tolist()
        told.append((inference.next_tile, inference.tiles.planned, inference.tiles.succeeded))

    assert sorted(found) == found
    assert told == [(i, i, i) for i in range(1, 21)]


@pytest.mark.parametrize(
    ("batch_size", "told"), [(1, [8, 16, 20]), (3, [9, 18, 20]), (16, [16, 20])]
)
def test_a_few_tiles_are_sorted_out_together(infer, monkeypatch, batch_size, told):
    monkeypatch.setattr(module, "MIN_TILES_PER_YIELD", 8)
    scene = FakeScene(grid := many(20))
    scene.pixels[0, 3:5, 3::TILE] = 9
    inference = infer(scene, model=with_size(OracleModel(), batch_size), grid=grid)

    found = [(len(seen), inference.next_tile) for seen in inference.run(range(20))]

    assert [tile for _, tile in found] == told
    assert sum(count for count, _ in found) == len(run(infer(scene, grid=grid)))


@pytest.mark.parametrize("after", [1, 5])
def test_stopping_midway_leaves_no_thread_and_the_next_tile(infer, after):
    scene = FakeScene(grid := many(50))
    inference = infer(scene, model=with_size(OracleModel(), 2, 3), grid=grid)
    running = inference.run(range(50))
    for _ in range(after):
        next(running)

    running.close()

    assert scene.closed == 1
    assert inference.tiles == TileCounts(planned=2 * after, succeeded=2 * after)
    assert inference.next_tile == 2 * after
    rest = Detections.concatenate(list(inference.run(range(inference.next_tile, 50))))
    assert inference.tiles == TileCounts(planned=50, succeeded=50)
    assert len(rest) == 0  # the first tile has the object


def test_stopping_midway_cancels_the_batches_that_wait(infer, monkeypatch):
    """Check that an interrupted shard saves its detections before its function times out."""
    stopped, calls = threading.Event(), itertools.count()

    class Pool(ThreadPoolExecutor):
        def shutdown(self, wait=True, *, cancel_futures=False):
            super().shutdown(wait=False, cancel_futures=cancel_futures)
            stopped.set()
            super().shutdown(wait=wait)

    class Held(OracleModel):
        def __call__(self, tiles):
            if next(calls):
                assert stopped.wait(30)
            return super().__call__(tiles)

    monkeypatch.setattr(module, "ThreadPoolExecutor", Pool)
    inference = infer(model=with_size(Held(), 1, 1), grid=many(50))
    running = inference.run(range(50))
    next(running)

    running.close()

    # The two are the batch that was yielded, and the one that the model was computing.
    assert next(calls) <= 2


def test_a_batch_that_was_made_smaller_meanwhile_is_not_made_smaller_again(infer):
    inference = infer(model=with_size(OracleModel(), 4))
    inference.model.shrink = lambda: pytest.fail("made smaller twice")

    inference._lower_batch_size(8)


def test_workers_that_run_out_of_memory_together_make_batches_smaller_once(infer):
    class Slow(OracleModel):
        """A model that halves its batches after waiting for another thread that tries to."""

        together = threading.Barrier(2)

        def shrink(self):
            with contextlib.suppress(threading.BrokenBarrierError):
                self.together.wait(0.2)
            self.batch_size //= 2

    inference = infer(model=with_size(Slow(), 8))

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(inference._lower_batch_size, [8, 8]))

    assert inference.model.batch_size == 4


def test_reading_stays_a_bounded_number_of_batches_ahead(infer):
    scene, read = FakeScene(grid := many(200)), []
    tile = scene.tile
    scene.tile = lambda one: (read.append(one.index), tile(one))[1]
    inference = infer(scene, model=with_size(OracleModel(), 4, 2), grid=grid)

    most = max(len(read) - inference.next_tile for _ in inference.run(range(200)))

    assert most <= 4 * (2 + 2)


def test_what_breaks_in_sorting_out_ends_the_shard(infer, monkeypatch):
    inference = infer()

    def fails(_seen):
        raise AssertionError("a bug")

    monkeypatch.setattr(type(inference.task), "keep_owned", staticmethod(fails))

    with pytest.raises(AssertionError, match="a bug"):
        run(inference)


@settings(max_examples=40, deadline=None)
@given(
    data=st.data(),
    tiles=st.integers(1, 40),
    batch_size=st.integers(1, 9),
    workers=st.integers(1, 4),
    fits=st.integers(0, 9),
)
def test_every_tile_is_accounted_for_whatever_goes_wrong(data, tiles, batch_size, workers, fits):
    some = st.sets(st.integers(0, tiles - 1))
    unread, blank, bad = data.draw(some), data.draw(some), data.draw(some)
    grid = many(tiles)
    scene = FakeScene(grid, {(TILE * i, 0): OSError("disk") for i in unread}, blank)
    scene.pixels[:] = 0
    for i in range(tiles):
        scene.pixels[0, 4:8, TILE * i + 4 : TILE * i + 8] = 7 if i in bad else 8

    class Both(Small):
        def __call__(self, shown):
            if any((tile == 7).any() for tile in shown):
                raise ModelOutputError("bad")
            return super().__call__(shown)

    inference = Inference(
        scene=scene,
        bands=[1],
        grid=grid,
        description=DESCRIPTION,
        model=Both(fits, batch_size, workers),
    )

    found = run(inference)

    left = set(range(tiles)) - unread - blank
    good = left - bad if fits else set()
    assert found.tile.tolist() == sorted(good)
    failed = (unread | left) - good
    assert inference.tiles == TileCounts(
        planned=tiles,
        succeeded=len(good),
        failed=len(failed),
        skipped=len(blank - unread),
    )
    assert [f.tile for f in inference.failures] == sorted(failed)[:MAX_DESCRIBED_FAILURES]
