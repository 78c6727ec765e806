import pytest

from swath.storage import retry
from swath.storage.retry import persist


class Clock:
    """Time that passes only where somebody sleeps."""

    def __init__(self):
        self.now = 100.0
        self.naps = []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.naps.append(seconds)
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(retry, "time", clock)
    return clock


def failing(times):
    """Fails some times, then gives the seconds that were left."""
    left = iter(range(times))

    def attempt(remaining):
        if next(left, None) is not None:
            raise OSError("asleep")
        return remaining

    return attempt


def is_os_error(error):
    return isinstance(error, OSError)


def test_a_first_success_takes_no_time(clock):
    assert persist(failing(0), mends=is_os_error, patience=60) == 60
    assert not clock.naps


def test_it_tries_until_it_succeeds(clock):
    left = persist(failing(4), mends=is_os_error, patience=60)
    assert left == pytest.approx(60 - sum(clock.naps))
    assert len(clock.naps) == 4


def test_it_stops_when_time_is_up_and_raises_the_last_error(clock):
    with pytest.raises(OSError, match="asleep"):
        persist(failing(1000), mends=is_os_error, patience=60)
    assert 50 < sum(clock.naps) <= 60


def test_without_patience_it_tries_once(clock):
    with pytest.raises(OSError, match="asleep"):
        persist(failing(1), mends=is_os_error, patience=0)
    assert not clock.naps


def test_what_will_not_mend_is_raised_at_once(clock):
    with pytest.raises(OSError, match="asleep"):
        persist(failing(1), mends=lambda _: False, patience=60)
    assert not clock.naps


def test_pauses_grow_to_five_seconds_and_differ(clock):
    with pytest.raises(OSError, match="asleep"):
        persist(failing(1000), mends=is_os_error, patience=300)
    assert clock.naps[0] <= 0.5
    assert max(clock.naps) <= 5
    assert min(clock.naps[5:]) >= 2.5
    assert len(set(clock.naps)) == len(clock.naps)
