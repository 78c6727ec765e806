from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.retries.policy import Retrier, retrier_for


def retrier(**entry: Any) -> Retrier:
    return Retrier.of({"ErrorEquals": ["Any"], **entry})


def test_what_an_entry_leaves_out_is_the_specifications_default():
    found = retrier()

    assert [found.bound(n) for n in range(3)] == [1, 2, 4]
    assert found.delay(3, random.Random(0)) is None
    assert not found.jitter


def test_delays_grow_to_the_longest_one():
    found = retrier(IntervalSeconds=5, BackoffRate=2, MaxDelaySeconds=30, MaxAttempts=2_000)

    assert [found.bound(n) for n in (0, 1, 2, 3, 1_999)] == [5, 10, 20, 30, 30]


@given(number=st.integers(0, 50), seed=st.integers(0, 10_000))
def test_a_jittered_delay_is_anything_up_to_the_bound(number: int, seed: int):
    found = retrier(IntervalSeconds=3, MaxDelaySeconds=40, MaxAttempts=51, JitterStrategy="FULL")
    delay = found.delay(number, random.Random(seed))

    assert delay is not None
    assert 0 <= delay <= found.bound(number)


def test_the_first_retrier_that_names_an_error_decides():
    state = {
        "Retry": [
            {"ErrorEquals": ["A", "B"], "MaxAttempts": 1},
            {"ErrorEquals": ["B", "C"], "MaxAttempts": 2},
        ]
    }

    found = {error: retrier_for(state, error) for error in "ABCD"}
    assert {error: one and one.attempts for error, one in found.items()} == {
        "A": 1,
        "B": 1,
        "C": 2,
        "D": None,
    }


@pytest.mark.parametrize("state", [{}, {"Retry": []}])
def test_a_state_without_retriers_has_none(state: dict[str, Any]):
    assert retrier_for(state, "Any") is None
