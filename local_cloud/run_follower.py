"""Follow one execution of the state machine: its stages, its shards, its end."""

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
from swath.pipeline.paths import SHARDS_FOLDER, run_key

_POLL_SECONDS = 0.2
_START_TIMEOUT_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Stage:
    """State that was entered; `seconds` is None while it is running."""

    name: str
    seconds: float | None


@dataclass(frozen=True, slots=True)
class RunProgress:
    """Progress of a run."""

    stages: list[Stage]
    shards: int
    """Number of planned shards; 0 before the plan exists."""
    receipts: int


@dataclass(frozen=True, slots=True)
class RunResult:
    """Result of an execution."""

    run_id: str
    status: str
    stages: list[Stage]
    output: dict[str, Any] = field(default_factory=dict)
    error: str = ""
    cause: str = ""


@dataclass(frozen=True, slots=True)
class RunFollower:
    """Follower of the runs of a deployed local cloud."""

    cloud: LocalCloud

    def wait_for_execution(self) -> str:
        """Wait for the first execution, and return its ARN.

        Raises:
            LocalCloudError: No execution starts in time.
        """
        machine = self.cloud.outputs["StateMachineArn"]
        machines = self.cloud.client("stepfunctions")
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if executions := machines.list_executions(stateMachineArn=machine)["executions"]:
                return str(executions[-1]["executionArn"])
            time.sleep(_POLL_SECONDS)
        raise LocalCloudError(
            f"no run started within {_START_TIMEOUT_SECONDS} s after the upload; the log of the "
            "function start_run may state the reason"
        )

    def follow(self, execution: str, show: Callable[[RunProgress], None]) -> RunResult:
        """Call `show` with the run's progress until it has ended; return its result."""
        while True:
            progress, result = self.poll(execution)
            show(progress)
            if result:
                return result
            time.sleep(_POLL_SECONDS)

    def poll(self, execution: str) -> tuple[RunProgress, RunResult | None]:
        """Return the progress of a run, and its result if it has ended."""
        machines = self.cloud.client("stepfunctions")
        description = machines.describe_execution(executionArn=execution)
        events = self._history(execution)
        stages = extract_stages(events, self._working_states())
        shards = _count_planned_shards(events)
        receipts = self._count_receipts(description["name"]) if shards else 0
        progress = RunProgress(stages, shards, receipts)
        ended = description["status"] != "RUNNING"
        return progress, _build_result(description, stages) if ended else None

    def _history(self, execution: str) -> list[dict[str, Any]]:
        machines = self.cloud.client("stepfunctions")
        pages = machines.get_paginator("get_execution_history").paginate(executionArn=execution)
        return [event for page in pages for event in page["events"]]

    def _working_states(self) -> set[str]:
        """Return the working states of the machine itself, not those inside its Map."""
        machine = self.cloud.outputs["StateMachineArn"]
        description = self.cloud.client("stepfunctions").describe_state_machine(
            stateMachineArn=machine
        )
        states = json.loads(description["definition"])["States"]
        return {name for name, state in states.items() if state["Type"] in {"Task", "Map"}}

    def _count_receipts(self, run_id: str) -> int:
        bucket = self.cloud.outputs["WorkBucket"]
        prefix = run_key(run_id, SHARDS_FOLDER, "")
        pages = self.cloud.client("s3").get_paginator("list_objects_v2")
        return sum(
            item["Key"].endswith(".json")
            for page in pages.paginate(Bucket=bucket, Prefix=prefix)
            for item in page.get("Contents", [])
        )


def extract_stages(events: list[dict[str, Any]], states: set[str]) -> list[Stage]:
    """Return the stages in an execution's history, in the order in which they were entered.

    The name of a stage is the first word of its state: `MergeDetections` is the stage `merge`.
    """
    entered: dict[str, datetime] = {}
    left: dict[str, datetime] = {}
    for event in events:
        if detail := event.get("stateEnteredEventDetails"):
            entered.setdefault(detail["name"], event["timestamp"])
        if detail := event.get("stateExitedEventDetails"):
            left[detail["name"]] = event["timestamp"]
    return [
        Stage(_stage_name(name), (left[name] - start).total_seconds() if name in left else None)
        for name, start in entered.items()
        if name in states
    ]


def _stage_name(state: str) -> str:
    return re.split(r"(?<=[a-z])(?=[A-Z])", state)[0].lower()


def _count_planned_shards(events: list[dict[str, Any]]) -> int:
    """Return the number of shards from the first output with a plan; 0 before the plan exists."""
    for event in events:
        output = json.loads(event.get("stateExitedEventDetails", {}).get("output") or "{}")
        if isinstance(output, dict) and "plan" in output:
            return int(output["plan"]["shards"])
    return 0


def _build_result(description: dict[str, Any], stages: list[Stage]) -> RunResult:
    return RunResult(
        run_id=description["name"],
        status=description["status"],
        stages=stages,
        output=json.loads(description.get("output") or "{}"),
        error=description.get("error", ""),
        cause=_extract_message(description.get("cause", "")),
    )


def _extract_message(cause: str) -> str:
    """Return the message in a function's cause, which is JSON; return any other cause unchanged."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, TypeError, KeyError):
        return cause
