"""Stages from an execution's history."""

from datetime import UTC, datetime, timedelta
from typing import Any

from local_cloud.run_follower import Stage, extract_stages

STATES = {"PlanScene", "InferShardsOnLambda", "MergeDetections"}


def entered(name: str, second: float) -> dict[str, Any]:
    return {"timestamp": at(second), "stateEnteredEventDetails": {"name": name}}


def left(name: str, second: float) -> dict[str, Any]:
    return {"timestamp": at(second), "stateExitedEventDetails": {"name": name}}


def at(second: float) -> datetime:
    return datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=second)


def test_a_stage_lasts_from_its_state_s_entry_to_its_exit():
    events = [entered("PlanScene", 0), left("PlanScene", 1.5), entered("MergeDetections", 2)]

    assert extract_stages(events, STATES) == [Stage("plan", 1.5), Stage("merge", None)]


def test_states_inside_a_map_and_choices_are_no_stages():
    events = [
        entered("ChooseBackend", 0),
        left("ChooseBackend", 0),
        entered("InferShardsOnLambda", 1),
        entered("InferShardOnLambda", 1),
        left("InferShardOnLambda", 3),
        {"timestamp": at(3), "type": "MapIterationSucceeded"},
        left("InferShardsOnLambda", 4),
    ]

    assert extract_stages(events, STATES) == [Stage("infer", 3)]


def test_a_redriven_state_counts_from_its_first_entry():
    events = [entered("MergeDetections", 0), entered("MergeDetections", 10)]
    events.append(left("MergeDetections", 12))

    assert extract_stages(events, STATES) == [Stage("merge", 12)]
