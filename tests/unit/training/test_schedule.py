import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath.training.schedule import ema_decay_at, learning_rate_factor


def factors(steps, warm_up, final):
    return [
        learning_rate_factor(step, steps=steps, warm_up=warm_up, final=final)
        for step in range(steps)
    ]


def test_it_rises_in_a_line_and_falls_along_a_cosine():
    seen = factors(11, 4, 0.0)

    assert seen[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert seen[7] == pytest.approx(0.5)
    assert seen[-1] == pytest.approx(0)


@given(st.integers(1, 60), st.integers(0, 80), st.floats(0, 1))
def test_it_stays_within_its_bounds_and_ends_where_it_should(steps, warm_up, final):
    seen = factors(steps, warm_up, final)
    peak = seen.index(max(seen))

    assert all(0 < value <= 1 or value == final for value in seen)
    assert seen[: peak + 1] == sorted(seen[: peak + 1])
    assert seen[peak:] == sorted(seen[peak:], reverse=True)
    if steps - min(warm_up, steps // 2) > 1:
        assert seen[-1] == pytest.approx(final)


def test_the_average_forgets_the_start_fast_and_then_slowly():
    assert ema_decay_at(0, 0.99) == pytest.approx(0.1)
    assert ema_decay_at(90, 0.99) == pytest.approx(0.91)
    assert ema_decay_at(10**6, 0.99) == 0.99
