import pytest

from swath.database.waking import retry_while


class Clock:
    """A clock that advances only by sleeps."""

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
    monkeypatch.setattr("tenacity.time", clock)
    monkeypatch.setattr("tenacity.nap.time", clock)
    return clock


def failing(times):
    """Return a function that fails `times` times, then succeeds."""
    left = iter(range(times))

    def attempt():
        if next(left, None) is not None:
            raise OSError("asleep")
        return "awake"

    return attempt


def is_os_error(error):
    return isinstance(error, OSError)


def test_a_first_success_takes_no_time(clock):
    assert retry_while(is_os_error, timeout=60)(failing(0)) == "awake"
    assert not clock.naps


def test_it_tries_until_it_succeeds(clock):
    assert retry_while(is_os_error, timeout=60)(failing(4)) == "awake"
    assert len(clock.naps) == 4


def test_it_stops_when_time_is_up_and_raises_the_last_error(clock):
    with pytest.raises(OSError, match="asleep"):
        retry_while(is_os_error, timeout=60)(failing(1000))
    assert 50 < sum(clock.naps) <= 60


def test_without_a_timeout_it_tries_once(clock):
    with pytest.raises(OSError, match="asleep"):
        retry_while(is_os_error, timeout=0)(failing(1))
    assert not clock.naps


def test_an_error_of_another_kind_is_raised_at_once(clock):
    with pytest.raises(OSError, match="asleep"):
        retry_while(lambda _: False, timeout=60)(failing(1))
    assert not clock.naps


def test_pauses_grow_to_five_seconds_and_differ(clock):
    with pytest.raises(OSError, match="asleep"):
        retry_while(is_os_error, timeout=300)(failing(1000))
    assert 0.25 <= clock.naps[0] <= 0.5
    assert max(clock.naps) <= 5
    assert min(clock.naps[5:]) >= 2.5
    assert len(set(clock.naps)) == len(clock.naps)
