"""Accept AWS's PascalCase parameters in service tasks, and respond in PascalCase.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html

Moto 5.2.5 leaves both conversions empty. `batch:submitJob` therefore fails on its parameters'
names. The job's description, which is the cause of a failure, has Batch's own names.
"""

from __future__ import annotations

import datetime as dt
import functools
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import OperationModel  # noqa: TC002 - for a cached function
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service import (
    state_task_service,
)

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "service_task_casing"

_Task = state_task_service.StateTaskService


def apply(patcher: Patcher, services: Services) -> None:
    """Convert names according to the service's own model."""
    patcher.replace(_Task, "_normalise_parameters", _convert_parameters)
    patcher.replace(_Task, "_normalise_response", _convert_response)


def _convert_parameters(
    task: Any, parameters: Any, boto_service_name: Any = None, service_action_name: Any = None
) -> None:
    shape = _operation(task, boto_service_name, service_action_name).input_shape
    if shape is not None:
        task._to_boto_request(parameters, shape)


def _convert_response(
    task: Any, response: Any, boto_service_name: Any = None, service_action_name: Any = None
) -> None:
    shape = _operation(task, boto_service_name, service_action_name).output_shape
    if not isinstance(response, dict):
        return
    if shape is not None:
        task._from_boto_response(response, shape)
    plain = _to_json_value(response)
    response.clear()
    response.update(plain)


def _operation(task: Any, service: str | None, action: str | None) -> OperationModel:
    return _match_operation(
        task._get_boto_service_name(service),
        task._get_boto_service_action(action),
    )


@functools.cache
def _match_operation(service: str, action: str) -> OperationModel:
    model = botocore.session.get_session().get_service_model(service)
    name = next(n for n in model.operation_names if _is_same_operation(n, action))
    return model.operation_model(name)


def _is_same_operation(operation: str, action: str) -> bool:
    return xform_name(operation) == action or operation.lower() == action.replace("_", "")


def _to_json_value(value: Any) -> Any:
    """Return the value with timestamps as text, since the state is JSON."""
    match value:
        case dict():
            return {name: _to_json_value(item) for name, item in value.items()}
        case list():
            return [_to_json_value(item) for item in value]
        case dt.datetime():
            return value.isoformat()
    return value
