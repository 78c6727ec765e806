"""Redrive a failed execution: RedriveExecution resumes it at the state that failed.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/redrive-executions.html

Moto 5.2.5 has no such action. Unlike on AWS, a redriven Map runs all of its items again, not only
the failed ones.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.core.responses import ActionResult
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.backend.execution import Execution
from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker
from moto.stepfunctions.responses import StepFunctionResponse

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "redrive"

_REDRIVABLE = {"FAILED", "TIMED_OUT", "ABORTED"}


class _NotRedrivableError(JsonRESTError):
    code = 400

    def __init__(self, message: str) -> None:
        super().__init__("ExecutionNotRedrivable", message)


def apply(patcher: Patcher, services: Services) -> None:
    """Add the action, and its fields in DescribeExecution."""

    def redrive_execution(response: Any) -> ActionResult:
        execution = response.stepfunction_backend.describe_execution(
            response._get_param("executionArn")
        )
        redrive(execution)
        return ActionResult({"redriveDate": execution.redrive_date})

    def describe_execution(response: Any) -> ActionResult:
        result: ActionResult = original(response)
        execution = response.stepfunction_backend.describe_execution(
            response._get_param("executionArn")
        )
        status = "REDRIVABLE" if execution.status in _REDRIVABLE else "NOT_REDRIVABLE"
        details: Any = result.result
        details |= {
            "redriveCount": getattr(execution, "redrive_count", 0),
            "redriveStatus": status,
        }
        if redriven := getattr(execution, "redrive_date", None):
            details["redriveDate"] = redriven
        return result

    patcher.add(StepFunctionResponse, "redrive_execution", redrive_execution)
    original = patcher.replace(StepFunctionResponse, "describe_execution", describe_execution)


def redrive(execution: Any) -> None:
    """Resume an execution at the state that failed, under its name and with its history."""
    if execution.status not in _REDRIVABLE:
        raise _NotRedrivableError(
            f"Execution {execution.exec_arn} is {execution.status} and cannot be redriven"
        )
    worker = _create_worker(execution)
    execution.redrive_count = getattr(execution, "redrive_count", 0) + 1
    execution.redrive_date = dt.datetime.now(dt.UTC)
    execution.error = execution.cause = execution.stop_date = None
    execution._get_start_execution_worker = lambda: worker
    execution.exec_worker = None
    execution.start()


def _create_worker(execution: Any) -> Any:
    definition = json.loads(execution.state_machine.definition)
    events = execution.exec_worker.env.event_manager
    state, state_input = _last_entered_state(events.get_event_history(), definition)
    return _RedrivenWorker(execution, definition | {"StartAt": state}, state_input, events)


def _last_entered_state(history: list[Any], definition: dict[str, Any]) -> tuple[str, Any]:
    """Return the last entered state of the machine itself, and its input."""
    for event in reversed(history):
        details = event.get("stateEnteredEventDetails")
        if details and details["name"] in definition["States"]:
            return details["name"], json.loads(details["input"])
    return definition["StartAt"], json.loads(history[0]["executionStartedEventDetails"]["input"])


class _RedrivenWorker(ExecutionWorker):
    """Worker like moto's that starts at a later state, with that state's input."""

    def __init__(
        self, execution: Any, definition: dict[str, Any], state_input: Any, events: Any
    ) -> None:
        worker = Execution._get_start_execution_worker(execution)
        self.__dict__.update(vars(worker))
        self._definition = definition
        self._state_input = state_input
        self._events = events

    def _get_evaluation_entrypoint(self) -> Any:
        return AmazonStateLanguageParser.parse(json.dumps(self._definition))[0]

    def _get_evaluation_environment(self) -> Any:
        env = super()._get_evaluation_environment()
        env.states.reset(self._state_input)
        env.event_manager = self._events
        return env

    def _execution_logic(self) -> None:
        program = self._get_evaluation_entrypoint()
        self.env = self._get_evaluation_environment()
        communication: Any = self._execution_communication
        details: Any = {
            "executionRedrivenEventDetails": {"redriveCount": communication.execution.redrive_count}
        }
        self.env.event_manager.add_event(
            context=self.env.event_history_context,
            event_type=HistoryEventType.ExecutionRedriven,
            event_details=details,
            update_source_event_id=False,
        )
        program.eval(self.env)
        self._execution_communication.terminated()
