"""The deployed retriers and loads that an account may see: `benchmarks.retries`, few seeds."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from benchmarks.retries.__main__ import loads
from benchmarks.retries.simulation import Load, simulate, steps


@pytest.mark.parametrize(
    "load", loads(), ids=lambda load: f"{load.scenes}x{load.slots}x{load.seconds:.0f}"
)
def test_no_run_fails_since_other_functions_hold_all_slots(dev: Any, load: Load):
    run = steps(dev.machine)
    outcomes = [simulate(run, load, seed) for seed in range(2)]

    assert [outcome.failed for outcome in outcomes] == [0, 0]
    # Far from the last retry: chance does not decide.
    retriers = [step.retrier for step in run]
    assert all(one.most_attempts < 0.7 * r.attempts for one in outcomes for r in retriers if r)


def test_the_loads_would_fail_runs_with_the_retries_of_other_errors(dev: Any):
    run = [
        dataclasses.replace(step, retrier=dataclasses.replace(step.retrier, attempts=8))
        for step in steps(dev.machine)
        if step.retrier
    ]

    assert any(simulate(run, load, seed=0).failed for load in loads())
