from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.retries.__main__ import Row
from benchmarks.retries.simulation import (
    OTHER_STEP_SECONDS,
    THROTTLING_ERROR,
    Load,
    Outcome,
    Step,
    read_steps,
    simulate,
)


def machine(**retrier: Any) -> dict[str, Any]:
    """A run of a plan, a choice, a map of at most 10 shards and an event."""
    retry = [{"ErrorEquals": [THROTTLING_ERROR], "JitterStrategy": "FULL", **retrier}]
    function = {"Type": "Task", "Resource": "arn:aws:lambda:eu-west-1:1:function:f"}
    shard = {**function, "Retry": retry, "End": True}
    return {
        "StartAt": "Plan",
        "States": {
            "Plan": {**function, "Retry": retry, "Next": "Choose"},
            "Choose": {"Type": "Choice", "Choices": [], "Default": "Shards"},
            "Shards": {
                "Type": "Map",
                "MaxConcurrency": 10,
                "ItemProcessor": {"States": {"Shard": shard}},
                "Next": "Announce",
            },
            "Announce": {
                "Type": "Task",
                "Resource": "arn:aws:states:::events:putEvents",
                "End": True,
            },
        },
    }


LONG_RETRIES = read_steps(machine(IntervalSeconds=5, MaxDelaySeconds=60, MaxAttempts=10_000))


def load(**changes: Any) -> Load:
    return Load(**{"scenes": 1, "shards": 20, "lambda_slots": 10, "shard_seconds": 10.0} | changes)


def test_the_steps_are_the_states_that_call_functions():
    assert [(step.name, step.is_map, step.max_concurrency) for step in LONG_RETRIES] == [
        ("Plan", False, 1),
        ("Shards", True, 10),
    ]


def test_no_function_waits_if_there_are_slots_for_all():
    outcome = simulate(LONG_RETRIES, load(lambda_slots=10), seed=1)

    assert (outcome.failed, outcome.retries, set(outcome.waits)) == (0, 0, {0.0})
    assert len(outcome.waits) == 21
    assert OTHER_STEP_SECONDS + 2 * 8 <= outcome.total_seconds <= OTHER_STEP_SECONDS + 2 * 12


@given(
    scenes=st.integers(1, 6),
    shards=st.integers(0, 30),
    lambda_slots=st.integers(1, 12),
    seed=st.integers(0, 1_000),
)
def test_with_enough_retries_every_function_runs_and_no_slot_is_used_twice_at_once(
    scenes: int, shards: int, lambda_slots: int, seed: int
):
    offered = load(scenes=scenes, shards=max(1, shards), lambda_slots=lambda_slots)
    outcome = simulate(LONG_RETRIES, offered, seed)

    assert outcome.failed == 0
    assert len(outcome.waits) == scenes * (1 + offered.shards)
    work = scenes * (OTHER_STEP_SECONDS + offered.shards * offered.shard_seconds * 0.8)
    assert outcome.total_seconds >= work / lambda_slots


def test_a_function_that_is_refused_too_often_fails_its_run():
    few_retries = read_steps(machine(IntervalSeconds=1, MaxAttempts=2))
    outcome = simulate(few_retries, load(scenes=5, lambda_slots=2, shard_seconds=60), seed=1)

    assert outcome.failed == 5
    assert outcome.max_requests == 3


def test_a_step_without_a_retrier_fails_at_the_first_refusal():
    bare = [Step(name="Shards", retrier=None, is_map=True, max_concurrency=10)]

    assert simulate(bare, load(lambda_slots=9), seed=1).failed == 1
    assert simulate(bare, load(lambda_slots=10), seed=1).failed == 0


@pytest.mark.parametrize(("fraction", "wait"), [(0.5, 5), (0.95, 10), (0.9, 9), (0.1, 1)])
def test_a_percentile_is_the_wait_that_a_share_did_not_exceed(fraction: float, wait: float):
    assert Outcome(waits=[float(n) for n in range(10, 0, -1)]).wait_percentile(fraction) == wait


def test_a_row_sums_failures_and_averages_the_rest():
    outcomes = [
        Outcome(failed=1, waits=[10.0], retries=1_000, total_seconds=100.0),
        Outcome(failed=0, waits=[20.0], retries=3_000, total_seconds=8_000.0),
    ]
    row = Row.from_outcomes(load(scenes=3, lambda_slots=1_000), outcomes)

    assert row.cells() == ["3", "1,000", "10", "1 of 6", "15 s", "68 min", "2,000", "0.05"]
