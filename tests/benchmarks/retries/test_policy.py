from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.retries.policy import Retrier, select_retrier


def retrier(**entry: Any) -> Retrier:
    return Retrier.from_entry({"ErrorEquals": ["Any"], **entry})


def test_what_an_entry_leaves_out_is_the_specifications_default():
    found = retrier()

    assert [found.upper_bound(n) for n in range(3)] == [1, 2, 4]
    assert found.delay(3, random.Random(0)) is None
    assert not found.jitter


def test_delays_grow_to_the_longest_one():
    found = retrier(IntervalSeconds=5, BackoffRate=2, MaxDelaySeconds=30, MaxAttempts=2_000)

    assert [found.upper_bound(n) for n in (0, 1, 2, 3, 1_999)] == [5, 10, 20, 30, 30]


@given(retry_number=st.integers(0, 50), seed=st.integers(0, 10_000))
def test_a_jittered_delay_is_anything_up_to_the_bound(retry_number: int, seed: int):
    found = retrier(IntervalSeconds=3, MaxDelaySeconds=40, MaxAttempts=51, JitterStrategy="FULL")
    delay = found.delay(retry_number, random.Random(seed))

    assert delay is not None
    assert 0 <= delay <= found.upper_bound(retry_number)


def test_the_first_retrier_that_names_an_error_decides():
    state = {
        "Retry": [
            {"ErrorEquals": ["A", "B"], "MaxAttempts": 1},
            {"ErrorEquals": ["B", "C"], "MaxAttempts": 2},
        ]
    }

    found = {error: select_retrier(state, error) for error in "ABCD"}
    assert {error: one and one.max_attempts for error, one in found.items()} == {
        "A": 1,
        "B": 1,
        "C": 2,
        "D": None,
    }


@pytest.mark.parametrize("state", [{}, {"Retry": []}])
def test_a_state_without_retriers_has_none(state: dict[str, Any]):
    assert select_retrier(state, "Any") is None
