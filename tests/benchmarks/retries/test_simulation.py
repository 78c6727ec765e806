from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.retries.__main__ import Row
from benchmarks.retries.simulation import (
    OTHER_SECONDS,
    THROTTLED,
    Load,
    Outcome,
    Step,
    simulate,
    steps,
)


def machine(**retrier: Any) -> dict[str, Any]:
    """A run of a plan, a choice, a map of at most 10 shards and an event."""
    retry = [{"ErrorEquals": [THROTTLED], "JitterStrategy": "FULL", **retrier}]
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


PATIENT = steps(machine(IntervalSeconds=5, MaxDelaySeconds=60, MaxAttempts=10_000))


def load(**about: Any) -> Load:
    return Load(**{"scenes": 1, "shards": 20, "slots": 10, "seconds": 10.0} | about)


def test_the_steps_are_the_states_that_call_functions():
    assert [(step.name, step.mapped, step.concurrency) for step in PATIENT] == [
        ("Plan", False, 1),
        ("Shards", True, 10),
    ]


def test_where_there_are_slots_for_all_nobody_waits():
    outcome = simulate(PATIENT, load(slots=10), seed=1)

    assert (outcome.failed, outcome.retries, set(outcome.waits)) == (0, 0, {0.0})
    assert len(outcome.waits) == 21
    assert OTHER_SECONDS + 2 * 8 <= outcome.longest <= OTHER_SECONDS + 2 * 12


@given(
    scenes=st.integers(1, 6),
    shards=st.integers(0, 30),
    slots=st.integers(1, 12),
    seed=st.integers(0, 1_000),
)
def test_with_enough_retries_every_function_runs_and_no_slot_is_used_twice_at_once(
    scenes: int, shards: int, slots: int, seed: int
):
    offered = load(scenes=scenes, shards=max(1, shards), slots=slots)
    outcome = simulate(PATIENT, offered, seed)

    assert outcome.failed == 0
    assert len(outcome.waits) == scenes * (1 + offered.shards)
    work = scenes * (OTHER_SECONDS + offered.shards * offered.seconds * 0.8)
    assert outcome.longest >= work / slots


def test_a_function_that_is_refused_too_often_fails_its_run():
    impatient = steps(machine(IntervalSeconds=1, MaxAttempts=2))
    outcome = simulate(impatient, load(scenes=5, slots=2, seconds=60), seed=1)

    assert outcome.failed == 5
    assert outcome.most_attempts == 3


def test_a_step_without_a_retrier_fails_at_the_first_refusal():
    bare = [Step(name="Shards", retrier=None, mapped=True, concurrency=10)]

    assert simulate(bare, load(slots=9), seed=1).failed == 1
    assert simulate(bare, load(slots=10), seed=1).failed == 0


@pytest.mark.parametrize(("share", "wait"), [(0.5, 5), (0.95, 10), (0.9, 9), (0.1, 1)])
def test_a_percentile_is_the_wait_that_a_share_did_not_exceed(share: float, wait: float):
    assert Outcome(waits=[float(n) for n in range(10, 0, -1)]).percentile(share) == wait


def test_a_row_sums_failures_and_averages_the_rest():
    outcomes = [
        Outcome(failed=1, waits=[10.0], retries=1_000, longest=100.0),
        Outcome(failed=0, waits=[20.0], retries=3_000, longest=8_000.0),
    ]
    row = Row.of(load(scenes=3, slots=1_000), outcomes)

    assert row.cells() == ["3", "1,000", "10", "1 of 6", "15 s", "68 min", "2,000", "0.05"]
