import threading
from concurrent.futures import Future

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from swath.errors import ModelOutputError, OutOfMemoryError
from swath.sagemaker.server import batcher as module
from swath.sagemaker.server.batcher import Batcher

BAD = -1.0
TIMEOUT_SECONDS = 10


class Echo:
    """A model that returns each tile's number, fails on some, and records its calls."""

    def __init__(self, batch_size=4, workers=1, gate=None):
        self.batch_size, self.workers, self.gate = batch_size, workers, gate
        self.sizes = []
        self.entered = threading.Semaphore(0)
        self.lock = threading.Lock()

    def __call__(self, tiles):
        with self.lock:
            self.sizes.append(len(tiles))
        self.entered.release()
        if self.gate is not None:
            assert self.gate.wait(TIMEOUT_SECONDS)
        numbers = [float(tile.flat[0]) for tile in tiles]
        if BAD in numbers:
            raise ValueError("a bad tile")
        return [(np.array([number]),) for number in numbers]

    def shrink(self):
        if self.batch_size == 1:
            return False
        self.batch_size //= 2
        return True


def tiles(*numbers, dtype=np.float32):
    return [np.full((1, 2, 2), number, dtype) for number in numbers]


def said(answers):
    return [float(answer[0][0]) for answer in answers]


def submit(function, *arguments):
    """Call a function in a daemon thread and return its future."""
    future = Future()

    def call():
        try:
            future.set_result(function(*arguments))
        except BaseException as error:  # noqa: BLE001 (the test checks it)
            future.set_exception(error)

    threading.Thread(target=call, daemon=True).start()
    return future


def ask(batcher, batch):
    """Return the answers to a batch; fail after the timeout."""
    return submit(batcher, batch).result(TIMEOUT_SECONDS)


def close(batcher):
    """Close a batcher; fail if its threads do not end."""
    closing = threading.Thread(target=batcher.close, daemon=True)
    closing.start()
    closing.join(TIMEOUT_SECONDS)
    assert not closing.is_alive()


@pytest.fixture
def batched():
    """Yield a function that makes a batcher of a model. All batchers are closed at the end."""
    made = []

    def make(model):
        made.append(Batcher(model))
        return made[-1]

    yield make
    for batcher in made:
        close(batcher)


@pytest.fixture
def held(batched):
    """Return a class of a model that is blocked with one tile, so that later requests queue."""

    class Held:
        def __init__(self, kind=Echo, **options):
            self.gate = threading.Event()
            self.model = kind(gate=self.gate, **options)
            self.batcher = batched(self.model)
            self.calls = [submit(self.batcher, tiles(1000))]
            assert self.model.entered.acquire(timeout=TIMEOUT_SECONDS)

        def ask(self, *numbers, dtype=np.float32):
            before = len(self.batcher._queue)
            self.calls.append(submit(self.batcher, tiles(*numbers, dtype=dtype)))
            with self.batcher._changed:
                assert self.batcher._changed.wait_for(
                    lambda: len(self.batcher._queue) >= before + len(numbers), TIMEOUT_SECONDS
                )

        def answers(self):
            self.gate.set()
            return [
                call.exception(TIMEOUT_SECONDS) or said(call.result(TIMEOUT_SECONDS))
                for call in self.calls
            ]

    return Held


def test_a_tile_that_comes_alone_goes_alone(batched):
    model = Echo()
    batcher = batched(model)

    assert said(ask(batcher, tiles(7))) == [7]
    assert said(ask(batcher, tiles(8, 9))) == [8, 9]
    assert model.sizes == [1, 2]
    assert (batcher.batch_size, batcher.workers) == (4, 1)
    # A server's exit does not wait for a batcher that was not closed.
    assert all(thread.daemon for thread in batcher._threads)


@pytest.mark.parametrize("workers", [1, 2, 4])
def test_what_comes_while_the_device_is_busy_goes_together(held, workers):
    line = held(batch_size=8, workers=workers)
    for number in range(5):
        line.ask(number)

    assert line.answers() == [[1000], [0], [1], [2], [3], [4]]
    assert line.model.sizes == [1, 5]


def test_a_full_batch_goes_though_another_is_under_way(held):
    line = held(batch_size=2, workers=2)
    submit(line.batcher, tiles(1, 2))

    assert line.model.entered.acquire(timeout=TIMEOUT_SECONDS)
    assert line.answers() == [[1000]]


def test_one_call_of_several_batches_keeps_all_workers_busy(batched):
    model = Echo(batch_size=2, workers=3, gate=threading.Event())
    batcher = batched(model)
    call = submit(batcher, tiles(*range(6)))

    entered = [model.entered.acquire(timeout=TIMEOUT_SECONDS) for _ in range(3)]
    model.gate.set()

    assert all(entered)
    assert said(call.result(TIMEOUT_SECONDS)) == list(range(6))


def test_more_tiles_than_a_batch_holds_are_several_batches(batched):
    model = Echo(batch_size=4, workers=3)

    assert said(ask(batched(model), tiles(*range(11)))) == list(range(11))
    assert max(model.sizes) <= 4


def test_a_bad_tile_fails_its_own_call_and_no_other(held):
    line = held(batch_size=8)
    line.ask(1, 2)
    line.ask(3, BAD)
    line.ask(4)

    first, one, bad, other = line.answers()

    assert (first, one, other) == ([1000], [1, 2], [4])
    assert isinstance(bad, ValueError)
    assert line.model.sizes == [1, 5, 2, 2, 1]


def test_tiles_of_several_dtypes_do_not_share_a_batch(held):
    line = held(batch_size=8)
    line.ask(1, 2, dtype=np.uint8)
    line.ask(3, dtype=np.uint16)
    line.ask(4, dtype=np.uint16)

    assert line.answers() == [[1000], [1, 2], [3], [4]]
    assert line.model.sizes == [1, 2, 2]


class Small(Echo):
    """A model whose memory holds two tiles."""

    def __call__(self, tiles):
        answers = super().__call__(tiles)
        if len(tiles) > 2:
            raise OutOfMemoryError("no room")
        return answers


def test_a_batch_that_does_not_fit_makes_later_ones_smaller(held):
    line = held(Small, batch_size=4)
    for number in range(4):
        line.ask(number)

    assert line.answers() == [[1000], [0], [1], [2], [3]]
    assert line.model.batch_size == 2
    assert line.model.sizes[:2] == [1, 4]


def test_a_batch_that_was_made_smaller_meanwhile_is_not_made_smaller_again(batched):
    batcher = batched(Echo(batch_size=4))

    batcher._shrink_below(8)

    assert batcher.batch_size == 4


def test_what_is_left_of_a_call_is_counted_under_the_lock(batched, monkeypatch):
    """Check the lock: after a lost update, the caller would wait forever."""
    unlocked = []

    kept = module._Call.remaining

    class Watched(module._Call):
        @property
        def remaining(self):
            return kept.__get__(self)

        @remaining.setter
        def remaining(self, number):
            counting = hasattr(self, "done")  # the last field that the constructor sets
            if counting and not batcher._changed._is_owned():
                unlocked.append(number)
            kept.__set__(self, number)

    monkeypatch.setattr(module, "_Call", Watched)
    batcher = batched(Echo(batch_size=2))

    assert said(ask(batcher, tiles(*range(5)))) == list(range(5))
    assert not unlocked


def test_a_call_that_does_not_fit_alone_is_told_so(batched):
    batcher = batched(Small(batch_size=4))

    with pytest.raises(OutOfMemoryError):
        ask(batcher, tiles(1, 2, 3))
    assert batcher.batch_size == 4  # the caller decides, as it would with the model itself
    assert batcher.shrink()
    assert said(ask(batcher, tiles(1, 2, 3))) == [1, 2, 3]


def test_a_model_that_loses_results_is_found_out(batched):
    class Forgetful(Echo):
        def __call__(self, tiles):
            return super().__call__(tiles)[:-1]

    with pytest.raises(ModelOutputError, match="0 results for 1 tiles"):
        ask(batched(Forgetful()), tiles(1))


def test_what_waits_is_answered_before_the_end(held):
    line = held(batch_size=8)
    line.ask(1)
    closing = threading.Thread(target=line.batcher.close, daemon=True)
    closing.start()

    assert line.answers() == [[1000], [1]]
    closing.join(TIMEOUT_SECONDS)
    assert not closing.is_alive()
    with pytest.raises(RuntimeError, match="closed"):
        ask(line.batcher, tiles(1))


@settings(max_examples=30)
@given(
    calls=st.lists(
        st.tuples(
            st.lists(st.integers(0, 9) | st.just(BAD), min_size=1, max_size=9),
            st.sampled_from([np.float32, np.float64]),
        ),
        min_size=1,
        max_size=20,
    ),
    batch_size=st.integers(1, 8),
    workers=st.integers(1, 4),
)
def test_every_caller_gets_its_own_answers(calls, batch_size, workers):
    model = Echo(batch_size, workers)
    batcher = Batcher(model)

    asked = [
        submit(batcher, tiles(*(100 * number + n if n != BAD else n for n in numbers)))
        for number, (numbers, _) in enumerate(calls)
    ]
    for number, ((numbers, _), call) in enumerate(zip(calls, asked, strict=True)):
        if BAD in numbers:
            assert isinstance(call.exception(TIMEOUT_SECONDS), ValueError)
        else:
            assert said(call.result(TIMEOUT_SECONDS)) == [100 * number + n for n in numbers]
    close(batcher)

    assert max(model.sizes) <= batch_size
    assert not batcher._queue
