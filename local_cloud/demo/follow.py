"""Following one execution of the state machine: its stages, its shards, its end."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local_cloud.cloud import LocalCloud
from local_cloud.errors import LocalCloudError
from swath.pipeline.paths import SHARDS, run_key

_POLL_SECONDS = 0.2
_START_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Stage:
    """A state that was entered; `seconds` is None while it is under way."""

    name: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is."""

    stages: list[Stage]
    shards: int
    """As planned; 0 until they are."""
    receipts: int


@dataclass(frozen=True, slots=True)
class Ended:
    """How an execution ended."""

    run_id: str
    status: str
    stages: list[Stage]
    output: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class Follower:
    """Watches the runs of a deployed local cloud."""

    cloud: LocalCloud

    def first_execution(self) -> str:
        """The ARN of the first execution; waits for it.

        Raises:
            LocalCloudError: none starts.
        """
        machine = self.cloud.outputs["StateMachineArn"]
        machines = self.cloud.client("stepfunctions")
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if found := machines.list_executions(stateMachineArn=machine)["executions"]:
                return str(found[-1]["executionArn"])
            time.sleep(_POLL_SECONDS)
        raise LocalCloudError(
            f"no run started within {_START_SECONDS} s of the scene's arrival; the function "
            "start_run may have said why in its log"
        )

    def follow(self, execution: str, show: Callable[[Progress], None]) -> Ended:
        """Call `show` with the run's progress until it has ended."""
        while True:
            progress, ended = self.look(execution)
            show(progress)
            if ended:
                return ended
            time.sleep(_POLL_SECONDS)

    def look(self, execution: str) -> tuple[Progress, Ended | None]:
        """Return where a run is, and how it ended if it has."""
        machines = self.cloud.client("stepfunctions")
        about = machines.describe_execution(executionArn=execution)
        events = self._history(execution)
        stages, shards = stages_of(events, self._work_states()), _planned_shards(events)
        progress = Progress(stages, shards, self._receipts(about["name"]) if shards else 0)
        return progress, _ended(about, stages) if about["status"] != "RUNNING" else None

    def _history(self, execution: str) -> list[dict[str, Any]]:
        machines = self.cloud.client("stepfunctions")
        pages = machines.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]

    def _work_states(self) -> set[str]:
        """The states of the machine itself, not those inside its Map, that do something."""
        machine = self.cloud.outputs["StateMachineArn"]
        about = self.cloud.client("stepfunctions").describe_state_machine(stateMachineArn=machine)
        states = json.loads(about["definition"])["States"]
        return {name for name, state in states.items() if state["Type"] in {"Task", "Map"}}

    def _receipts(self, run_id: str) -> int:
        bucket = self.cloud.outputs["WorkBucket"]
        prefix = run_key(run_id, SHARDS, "")
        pages = self.cloud.client("s3").get_paginator("list_objects_v2")
        return sum(
            item["Key"].endswith(".json")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix)
            for item in page.get("Contents", [])
        )


def stages_of(events: list[dict[str, Any]], states: set[str]) -> list[Stage]:
    """The stages in an execution's history, in the order in which they were entered.

    The state `MergeDetections` is the stage `merge`: the first word of its name.
    """
    entered: dict[str, datetime] = {}
    left: dict[str, datetime] = {}
    for event in events:
        if detail := event.get("stateEnteredEventDetails"):
            entered.setdefault(detail["name"], event["timestamp"])
        if detail := event.get("stateExitedEventDetails"):
            left[detail["name"]] = event["timestamp"]
    return [
        Stage(_stage(name), (left[name] - start).total_seconds() if name in left else None)
        for name, start in entered.items()
        if name in states
    ]


def _stage(state: str) -> str:
    return re.split(r"(?<=[a-z])(?=[A-Z])", state)[0].lower()


def _planned_shards(events: list[dict[str, Any]]) -> int:
    """How many shards the plan has, once it is made: from the first output that knows."""
    for event in events:
        output = json.loads(event.get("stateExitedEventDetails", {}).get("output") or "{}")
        if isinstance(output, dict) and "plan" in output:
            return int(output["plan"]["shards"])
    return 0


def _ended(about: dict[str, Any], stages: list[Stage]) -> Ended:
    return Ended(
        run_id=about["name"],
        status=about["status"],
        stages=stages,
        output=json.loads(about.get("output") or "{}"),
        error=about.get("error", ""),
        cause=_readable(about.get("cause", "")),
    )


def _readable(cause: str) -> str:
    """A function's cause is JSON around its message."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, TypeError, KeyError):
        return cause
