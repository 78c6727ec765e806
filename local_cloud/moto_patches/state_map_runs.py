"""List a Distributed Map's child executions by their Map run, and describe them.

AWS: https://docs.aws.amazon.com/step-functions/latest/apireference/API_ListExecutions.html,
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-examine-map-run.html

Moto 5.2.5 evaluates items without their own executions, and lists only the executions of machines.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.distributed_item_processor_worker import (  # noqa: E501 - moto's name
    DistributedItemProcessorWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.inline_item_processor_worker import (  # noqa: E501 - moto's name
    InlineItemProcessorWorker,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_map.iteration.itemprocessor.map_run_record import (  # noqa: E501 - moto's name
    MapRunRecord,
)
from moto.stepfunctions.parser.asl.eval.program_state import (
    ProgramEnded,
    ProgramError,
    ProgramStopped,
    ProgramTimedOut,
)
from moto.stepfunctions.responses import StepFunctionResponse

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "state_map_runs"

_STATUSES: dict[type[Any], str] = {
    ProgramEnded: "SUCCEEDED",
    ProgramError: "FAILED",
    ProgramStopped: "ABORTED",
    ProgramTimedOut: "TIMED_OUT",
}
_DEFAULT_PAGE_SIZE = 100


class _ResourceNotFoundError(JsonRESTError):
    code = 400

    def __init__(self, arn: str) -> None:
        super().__init__("ResourceNotFound", f"Map Run does not exist: '{arn}'")


@dataclass
class _ChildExecution:
    """Execution of one item."""

    map_run: str
    machine: str
    name: str = field(default_factory=lambda: str(uuid.uuid4()))
    start: dt.datetime = field(default_factory=lambda: dt.datetime.now(dt.UTC))
    stop: dt.datetime | None = None
    status: str = "RUNNING"
    input: str = "{}"
    error: str | None = None
    cause: str | None = None

    @property
    def arn(self) -> str:
        return f"{self.machine.replace(':stateMachine:', ':execution:')}:{self.name}"

    def end(self, state: Any) -> None:
        """Record the end of the item's program, whose error moto swallows."""
        failure: Any = (state.error if isinstance(state, ProgramError) else None) or {}
        self.error, self.cause = failure.get("error"), failure.get("cause")
        self.stop = dt.datetime.now(dt.UTC)
        self.status = _STATUSES.get(type(state), "FAILED")

    def to_list_item(self) -> dict[str, Any]:
        """Return the child in the format of ListExecutions."""
        fields = {
            "executionArn": self.arn,
            "stateMachineArn": self.machine,
            "name": self.name,
            "status": self.status,
            "startDate": self.start,
            "stopDate": self.stop,
            "mapRunArn": self.map_run,
            "itemCount": 0,
        }
        return {key: value for key, value in fields.items() if value is not None}

    def to_description(self) -> dict[str, Any]:
        """Return the child in the format of DescribeExecution."""
        failure = {"error": self.error, "cause": self.cause}
        fields = {key: value for key, value in self.to_list_item().items() if key != "itemCount"}
        return fields | {"input": self.input} | {k: v for k, v in failure.items() if v is not None}


def apply(patcher: Patcher, services: Services) -> None:
    """Record each item as an execution, and respond from the records."""

    def eval_job(worker: Any, env: Any, job: Any) -> None:
        record = worker._map_run_record
        child = _ChildExecution(record.map_run_arn, record.map_state_machine_arn)
        record.children[child.arn] = env.map_child = child
        original_job(worker, env, job)
        child.end(env.program_state())

    def eval_input(worker: Any, env_frame: Any) -> None:
        InlineItemProcessorWorker._eval_input(worker, env_frame)
        env_frame.map_child.input = json.dumps(env_frame.states.get_input())

    def list_executions(response: Any) -> ActionResult:
        if not (arn := response._get_param("mapRunArn")):
            listed: ActionResult = original_list(response)
            return listed
        return ActionResult(_list_children(response, _get_map_run(response, arn)))

    def describe_execution(response: Any) -> ActionResult:
        arn = response._get_param("executionArn")
        for record in _map_runs(response):
            if child := record.children.get(arn):
                return ActionResult(child.to_description())
        described: ActionResult = original_describe(response)
        return described

    original_job = patcher.replace(DistributedItemProcessorWorker, "_eval_job", eval_job)
    patcher.add(DistributedItemProcessorWorker, "_eval_input", eval_input)
    patcher.add(MapRunRecord, "children", property(_children))
    original_list = patcher.replace(StepFunctionResponse, "list_executions", list_executions)
    original_describe = patcher.replace(
        StepFunctionResponse, "describe_execution", describe_execution
    )


def _children(record: Any) -> dict[str, _ChildExecution]:
    children: dict[str, _ChildExecution] = vars(record).setdefault("_children", {})
    return children


def _map_runs(response: Any) -> Iterator[Any]:
    for execution in response.stepfunction_backend._get_executions():
        worker = execution.exec_worker
        if worker and worker.env:
            yield from worker.env.map_run_record_pool_manager.get_all()


def _get_map_run(response: Any, arn: str) -> Any:
    map_run = next((one for one in _map_runs(response) if one.map_run_arn == arn), None)
    if map_run is None:
        raise _ResourceNotFoundError(arn)
    return map_run


def _list_children(response: Any, record: Any) -> dict[str, Any]:
    """Return a page of a Map run's children, latest first."""
    status = response._get_param("statusFilter")
    start = int(response._get_param("nextToken") or 0)
    end = start + (response._get_int_param("maxResults") or _DEFAULT_PAGE_SIZE)
    children = [c for c in list(record.children.values()) if not status or c.status == status]
    children.sort(key=lambda child: child.start, reverse=True)
    page: dict[str, Any] = {"executions": [child.to_list_item() for child in children[start:end]]}
    return page | ({"nextToken": str(end)} if end < len(children) else {})
