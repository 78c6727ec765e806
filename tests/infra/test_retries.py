"""The deployed retriers and loads that an account may see: `benchmarks.retries`, few seeds."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from benchmarks.retries.__main__ import list_loads
from benchmarks.retries.simulation import Load, read_steps, simulate


@pytest.mark.parametrize(
    "load",
    list_loads(),
    ids=lambda load: f"{load.scenes}x{load.lambda_slots}x{load.shard_seconds:.0f}",
)
def test_no_run_fails_since_other_functions_hold_all_slots(dev: Any, load: Load):
    run = read_steps(dev.machine)
    outcomes = [simulate(run, load, seed) for seed in range(2)]

    assert [outcome.failed for outcome in outcomes] == [0, 0]
    # Far from the last retry: chance does not decide.
    retriers = [step.retrier for step in run]
    assert all(one.max_requests < 0.7 * r.max_attempts for one in outcomes for r in retriers if r)


def test_the_loads_would_fail_runs_with_the_retries_of_other_errors(dev: Any):
    run = [
        dataclasses.replace(step, retrier=dataclasses.replace(step.retrier, max_attempts=8))
        for step in read_steps(dev.machine)
        if step.retrier
    ]

    assert any(simulate(run, load, seed=0).failed for load in list_loads())
