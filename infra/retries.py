"""Define the states' retry policies: the errors to retry, how often, and with which delays.

Step Functions tries the retriers in order, and each counts its own retries. Every retry is a state
transition that is paid for. `python -m benchmarks.retries` simulates the policies' effects and
costs.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from aws_cdk import Duration
from aws_cdk.aws_stepfunctions import DistributedMap, JitterType, TaskStateBase

from swath.errors import TransientError

State = TypeVar("State", bound=TaskStateBase | DistributedMap)

# Synchronous calls do not queue for a function: Lambda refuses a call without a free slot.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
THROTTLING_ERRORS = ["Lambda.TooManyRequestsException"]

# Errors of Lambda while it prepares a function that was idle for weeks, or its network, or an
# update. Some errors are left out because a person must fix them: CodeArtifactUserFailed and
# UserDeleted, ENILimitReached, SubnetIPAddressLimitReached, KMS*, Invalid*. No function uses EFS or
# SnapStart.
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors,
# https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
NOT_READY_ERRORS = [
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceNotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.ENINotReadyException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
]

# https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
SERVICE_ERRORS = [
    TransientError.__name__,
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
]


# The function hangs, for example on a connection, or is killed. Older runtimes report
# Lambda.Unknown.
TIMEOUT_ERRORS = ["Sandbox.Timedout", "Lambda.Unknown"]

# The host or the input may be the cause. `Runtime.OutOfMemory` is left out: the input causes it.
CRASH_ERRORS = ["Runtime.ExitError", *TIMEOUT_ERRORS]

# A Map could not read its list of shards, and has started none of them.
ITEM_READER_ERRORS = ["States.ItemReaderFailed"]


def with_function_retries(state: State, *more_errors: str) -> State:
    """Add retriers to a state that calls a function.

    Throttling is retried for 12 hours, a function that is not ready for 10 minutes, a crash twice,
    and other errors for five minutes.

    Args:
        state: State that gets the retriers.
        more_errors: Names of errors to retry besides those of Lambda and `TransientError`.

    Returns:
        The state.
    """
    with_retries(_with_capacity_retries(state), [*SERVICE_ERRORS, *more_errors])
    # An input that crashes its function each time costs three times the function's timeout.
    state.add_retry(
        errors=CRASH_ERRORS,
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_delay=Duration.minutes(1),
        max_attempts=2,
        jitter_strategy=JitterType.FULL,
    )
    return state


def with_long_function_retries(state: State) -> State:
    """Add retriers to a state that calls a function: 12 hours if that can help, else minutes.

    The policy is for work that must not be lost if a service is down for longer than a run waits.

    Args:
        state: State that gets the retriers.

    Returns:
        The state.
    """
    _with_capacity_retries(state)
    # The retries take 12 hours on average, and at least 11 hours in 99 of 100 cases.
    state.add_retry(
        errors=[*SERVICE_ERRORS, *TIMEOUT_ERRORS],
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_delay=Duration.minutes(5),
        max_attempts=300,
        jitter_strategy=JitterType.FULL,
    )
    return with_retries(state, ["States.TaskFailed"])


def _with_capacity_retries(state: State) -> State:
    # The retries take 12 hours on average: twice the time that 50 scenes of 2,000 tiles need in an
    # account with 10 slots.
    state.add_retry(
        errors=THROTTLING_ERRORS,
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_delay=Duration.minutes(2),
        max_attempts=720,
        jitter_strategy=JitterType.FULL,
    )
    # The retries take 10 minutes; 40 to 106 s were observed. They have no jitter, which may draw
    # delays of nearly zero.
    # https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/801
    state.add_retry(
        errors=NOT_READY_ERRORS,
        interval=Duration.seconds(20),
        backoff_rate=1,
        max_attempts=30,
        jitter_strategy=JitterType.NONE,
    )
    return state


def with_retries(state: State, errors: Sequence[str]) -> State:
    """Add a retrier for transient errors: about five minutes, with jitter between executions.

    Args:
        state: State that gets the retrier.
        errors: Names of the errors.

    Returns:
        The state.
    """
    state.add_retry(
        errors=list(errors),
        interval=Duration.seconds(2),
        backoff_rate=2,
        max_delay=Duration.minutes(1),
        max_attempts=8,
        jitter_strategy=JitterType.FULL,
    )
    return state
