import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from swath.sagemaker.server.errors import BusyError
from swath.sagemaker.server.limits import BoundedExecutor, ByteBudget

TIMEOUT_SECONDS = 30


def test_no_more_is_held_than_there_is():
    budget = ByteBudget(10)
    lock, held, most = threading.Lock(), 0, 0

    def hold(size):
        nonlocal held, most
        with budget.hold(size):
            with lock:
                held += size
                most = max(most, held)
            with lock:
                held -= size

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(hold, [1, 4, 7, 10, 3, 3, 9, 2] * 20))

    assert most <= 10
    assert budget.try_claim(10)


def test_what_is_larger_than_all_there_is_goes_alone():
    budget = ByteBudget(10)

    with budget.hold(1_000):
        assert not budget.try_claim(1)
    assert budget.try_claim(10)


def test_the_first_in_line_is_not_overtaken():
    budget, order = ByteBudget(10), []
    gates = {name: threading.Event() for name in ("large", "small")}

    def hold(name, size):
        gates[name].set()
        with budget.hold(size):
            order.append(name)

    with ThreadPoolExecutor(2) as pool, budget.hold(5):
        pool.submit(hold, "large", 10)
        gates["large"].wait(TIMEOUT_SECONDS)
        while not budget._turns:
            pass
        pool.submit(hold, "small", 1)  # its memory is free, but "large" comes first
        gates["small"].wait(TIMEOUT_SECONDS)
        while len(budget._turns) < 2:
            pass
        assert order == []
    assert order == ["large", "small"]


def test_a_holder_that_fails_gives_back():
    budget = ByteBudget(10)

    with pytest.raises(ValueError, match="x"), budget.hold(10):
        raise ValueError("x")
    assert budget.try_claim(10)


@pytest.fixture
def line():
    made = BoundedExecutor("images", threads=2, waiting=1)
    yield made
    made.close()


def test_jobs_are_done_and_their_errors_told(line):
    assert line.submit(lambda a, *, b: a + b, 1, b=2).result(TIMEOUT_SECONDS) == 3

    def fail():
        raise KeyError("x")

    with pytest.raises(KeyError):
        line.submit(fail).result(TIMEOUT_SECONDS)


def test_who_finds_the_line_full_is_told_when_to_come_again(line):
    gate = threading.Event()
    held = [line.submit(gate.wait, TIMEOUT_SECONDS) for _ in range(3)]

    with pytest.raises(BusyError, match=r"^3 images are in progress or queued; send") as caught:
        line.submit(gate.wait)
    assert 1 <= caught.value.retry_after <= 60

    gate.set()
    assert all(job.result(TIMEOUT_SECONDS) for job in held)
    assert line.submit(int).result(TIMEOUT_SECONDS) == 0


def test_the_time_to_come_again_follows_the_jobs():
    line = BoundedExecutor("images", threads=1, waiting=99)
    gate = threading.Event()
    jobs = [line.submit(gate.wait, TIMEOUT_SECONDS) for _ in range(100)]
    line._seconds = 0.5

    assert line._expected_wait() == 25
    line._seconds = 100
    assert line._expected_wait() == 60
    line._seconds = 0.0001
    assert line._expected_wait() == 1

    gate.set()
    assert all(job.result(TIMEOUT_SECONDS) for job in jobs)
    line.close()


def test_a_line_that_is_closed_holds_nothing():
    line = BoundedExecutor("images", threads=1, waiting=1)
    line.close()

    for _ in range(3):
        with pytest.raises(RuntimeError, match="shutdown"):
            line.submit(int)
