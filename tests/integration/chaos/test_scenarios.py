"""The scenarios of `make test` have some of everything."""

from __future__ import annotations

from tests.integration.chaos.scenarios import ACTIONS, CHOSEN, WORKERS, draw


def test_the_chosen_scenarios_have_some_of_everything():
    chosen = [draw(seed) for seed in CHOSEN]
    faults = {type(fault).__name__ for scenario in chosen for fault in scenario.faults}

    assert len(chosen) == 12
    assert {scenario.backend for scenario in chosen} == set(WORKERS)
    assert {action for scenario in chosen for action, _ in scenario.actions} == set(ACTIONS)
    assert {"ConnectionBroken", "DatabaseRestarted", "DiskFull", "EventLate", "SlowDown"} <= faults
