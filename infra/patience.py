"""Which states try again, at what, and for how long."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from aws_cdk import Duration
from aws_cdk.aws_stepfunctions import JitterType, TaskStateBase

from swath.errors import TransientError

State = TypeVar("State", bound=TaskStateBase)

LAMBDA_ERRORS = [
    TransientError.__name__,
    # https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.TooManyRequestsException",
]


def patient(state: State, errors: Sequence[str] = LAMBDA_ERRORS) -> State:
    """Try again what trying again can mend: for about five minutes, never in step with others."""
    state.add_retry(
        errors=list(errors),
        interval=Duration.seconds(2),
        backoff_rate=2,
        max_delay=Duration.minutes(1),
        max_attempts=8,
        jitter_strategy=JitterType.FULL,
    )
    return state
