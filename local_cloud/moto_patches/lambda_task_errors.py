"""Fail a state with the error's name when Lambda refuses a call, since retriers match that name.

AWS:
https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception

Moto 5.2.5 calls every refusal `Exception` if a state's resource is the function itself.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError
from moto.stepfunctions.parser.api import HistoryEventType
from moto.stepfunctions.parser.asl.component.common.error_name.custom_error_name import (
    CustomErrorName,
)
from moto.stepfunctions.parser.asl.component.common.error_name.failure_event import FailureEvent
from moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_lambda import (  # noqa: E501 - moto's name
    StateTaskServiceLambda,
)
from moto.stepfunctions.parser.asl.component.state.exec.state_task.state_task_lambda import (
    StateTaskLambda,
)

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services

NAME = "lambda_task_errors"


def apply(patcher: Patcher, services: Services) -> None:
    """Name refusals as moto does for states that use Lambda's service integration."""

    def from_error(task: Any, env: Any, ex: Exception) -> FailureEvent:
        if not isinstance(ex, ClientError):
            failed: FailureEvent = original(task, env, ex)
            return failed
        error, cause = StateTaskServiceLambda._error_cause_from_client_error(ex)
        details: Any = {"lambdaFunctionFailedEventDetails": {"error": error, "cause": cause}}
        return FailureEvent(
            env=env,
            error_name=CustomErrorName(error),
            event_type=HistoryEventType.LambdaFunctionFailed,
            event_details=details,
        )

    original = patcher.replace(StateTaskLambda, "_from_error", from_error)
