"""Accept a task token for one attempt and one response only, and report a failure's cause.

AWS: https://docs.aws.amazon.com/step-functions/latest/apireference/API_SendTaskFailure.html,
https://docs.aws.amazon.com/step-functions/latest/dg/connect-to-resource.html#connect-wait-token

Moto 5.2.5 drops the cause, and accepts any number of responses to one token without an error. It
reports the token of an ended task as unknown, or accepts it too. A retry waits for the token of the
first attempt, so it ends at once like that attempt.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from typing import Any

from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult, EmptyResult
from moto.stepfunctions.exceptions import InvalidToken
from moto.stepfunctions.parser.api import ExecutionStatus
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service,
    state_task_service_callback,
)
from moto.stepfunctions.parser.asl.eval.callback.callback import (
    CallbackEndpoint,
    CallbackOutcome,
    CallbackOutcomeFailure,
    CallbackOutcomeSuccess,
)
from moto.stepfunctions.parser.models import (
    StepFunctionsParserBackend,
    stepfunctions_parser_backends,
)
from moto.stepfunctions.responses import StepFunctionResponse

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "task_callbacks"

_completion_lock = threading.Lock()
# State machine that waits with a token, even after the task has ended.
_machines_by_token: dict[str, str] = {}


class TaskEndedError(AWSError):
    """The task of a token has ended. Moto's own error lacks a code in its response."""

    TYPE = "TaskTimedOut"
    STATUS = 400


def apply(patcher: Patcher, services: Services) -> None:
    """Pass a response to the task that waits for it, and to no other."""

    def send_task_failure(response: Any) -> ActionResult:
        token = response._get_param("taskToken")
        error, cause = response._get_param("error"), response._get_param("cause")
        outcome = CallbackOutcomeFailure(callback_id=token, error=error, cause=cause)
        _complete_task(response.stepfunction_backend, token, outcome)
        return EmptyResult()

    def send_task_success(backend: Any, task_token: str, outcome: str) -> None:
        success = CallbackOutcomeSuccess(callback_id=task_token, output=outcome)
        _complete_task(backend, task_token, success)

    def eval_execution(task: Any, env: Any) -> None:
        context = env.states.context_object
        data = context.context_object_data
        if "Task" in data:
            if _retry_count(context):
                env.callback_pool_manager.add(context.update_task_token())
            machine = data["StateMachine"]["Id"]
            _machines_by_token[data["Task"]["Token"]] = _qualify_machine(machine, task.name)
        state_task_service.StateTaskService._eval_execution(task, env)

    callback = state_task_service_callback.StateTaskServiceCallback
    patcher.add(callback, "_eval_execution", eval_execution)
    patcher.replace(StepFunctionResponse, "send_task_failure", send_task_failure)
    patcher.replace(StepFunctionsParserBackend, "send_task_success", send_task_success)


def machine_for_token(token: str) -> str:
    """Return the ARN of the state machine that a task token is for; `*` for an unknown token.

    A Distributed Map's child execution belongs to the machine `<machine>/<label>`.
    """
    return _machines_by_token.get(token, "*")


def _qualify_machine(machine: str, state: str) -> str:
    *_, region, account, _, _ = machine.split(":")
    backend = stepfunctions_parser_backends[account][region]
    definition = json.loads(backend.describe_state_machine(machine).definition)
    for map_state in definition["States"].values():
        processor = map_state.get("ItemProcessor", {})
        distributed = processor.get("ProcessorConfig", {}).get("Mode") == "DISTRIBUTED"
        if distributed and state in processor["States"]:
            return f"{machine}/{map_state['Label']}"
    return machine


def _retry_count(context: Any) -> int:
    return int(context.context_object_data["State"]["RetryCount"])


def _complete_task(backend: Any, token: str, outcome: CallbackOutcome) -> None:
    with _completion_lock:
        for execution, endpoint in _tasks(backend):
            if endpoint.callback_id == token:
                _notify_task(execution, endpoint, outcome)
                return
    raise InvalidToken


def _tasks(backend: Any) -> Iterator[tuple[Any, CallbackEndpoint]]:
    """Yield every task that waits or has waited for a response, with its execution."""
    for execution in backend._get_executions():
        if execution.exec_worker and execution.exec_worker.env:
            pool = execution.exec_worker.env.callback_pool_manager._pool
            yield from ((execution, endpoint) for endpoint in list(pool.values()))


def _notify_task(execution: Any, endpoint: CallbackEndpoint, outcome: CallbackOutcome) -> None:
    # A response sets the event, and so does, with a short delay, the timeout of the task.
    if endpoint._notify_event.is_set() or execution.exec_status != ExecutionStatus.RUNNING:
        raise TaskEndedError("Task Timed Out: 'Provided task does not exist anymore'")
    endpoint.notify(outcome)
