"""Retry policies of the states: which errors are retried, how often, and with which delays.

Retriers are tried in order and each counts its own retries. Every retry is a state transition that
is paid for. `python -m benchmarks.retries` simulates what the policies do and cost.
https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from aws_cdk import Duration
from aws_cdk.aws_stepfunctions import DistributedMap, JitterType, TaskStateBase

from swath.errors import TransientError

State = TypeVar("State", bound=TaskStateBase | DistributedMap)

# Nothing queues for a function: a call that finds no free slot is refused.
# https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
THROTTLED = ["Lambda.TooManyRequestsException"]

# What Lambda answers while it prepares a function that was idle for weeks, or its network, or an
# update. Not here, since they need somebody's hand: CodeArtifactUserFailed and UserDeleted,
# ENILimitReached, SubnetIPAddressLimitReached, KMS*, Invalid*. No function uses EFS or SnapStart.
# https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html#API_Invoke_Errors,
# https://docs.aws.amazon.com/lambda/latest/dg/functions-states.html
NOT_READY = [
    "Lambda.CodeArtifactUserPendingException",
    "Lambda.ResourceNotReadyException",
    "Lambda.ResourceConflictException",
    "Lambda.ENINotReadyException",
    "Lambda.EC2ThrottledException",
    "Lambda.EC2UnexpectedException",
]

# https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
FAULTS = [
    TransientError.__name__,
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
]


# A function that stands still, as where its connection hangs, or that is killed. Older runtimes
# report Lambda.Unknown.
STUCK = ["Sandbox.Timedout", "Lambda.Unknown"]

# What may be the host's fault or the input's. `Runtime.OutOfMemory` is not here: it is the input's.
CRASHED = ["Runtime.ExitError", *STUCK]

# A Map could not read its list of shards; none has been asked for by then.
UNREAD = ["States.ItemReaderFailed"]


def retry_function(state: State, *more: str) -> State:
    """Retry a state that calls a function.

    Refusals are retried for long, a crash twice, the rest for five minutes.

    Args:
        state: gets the retriers.
        more: names of errors to retry besides those of Lambda and `TransientError`.
    """
    retry(_retry_refusals(state), [*FAULTS, *more])
    # An input that ends its function each time costs three times that function's longest time.
    state.add_retry(
        errors=CRASHED,
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_delay=Duration.minutes(1),
        max_attempts=2,
        jitter_strategy=JitterType.FULL,
    )
    return state


def retry_function_for_hours(state: State) -> State:
    """Retry a state that calls a function for 12 hours where that can help, the rest for minutes.

    For what must not be lost with a service that is away for longer than a run waits for it.
    """
    _retry_refusals(state)
    # 12 hours on average, and at least 11 in 99 of 100 cases.
    state.add_retry(
        errors=[*FAULTS, *STUCK],
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_delay=Duration.minutes(5),
        max_attempts=300,
        jitter_strategy=JitterType.FULL,
    )
    return retry(state, ["States.TaskFailed"])


def _retry_refusals(state: State) -> State:
    # 12 hours on average, twice what 50 scenes of 2,000 tiles need in an account with 10 slots.
    state.add_retry(
        errors=THROTTLED,
        interval=Duration.seconds(5),
        backoff_rate=2,
        max_delay=Duration.minutes(2),
        max_attempts=720,
        jitter_strategy=JitterType.FULL,
    )
    # 10 minutes; 40 to 106 s were seen. Without jitter, which may draw delays of nearly zero.
    # https://github.com/aws-solutions-library-samples/accelerated-intelligent-document-processing-on-aws/issues/801
    state.add_retry(
        errors=NOT_READY,
        interval=Duration.seconds(20),
        backoff_rate=1,
        max_attempts=30,
        jitter_strategy=JitterType.NONE,
    )
    return state


def retry(state: State, errors: Sequence[str]) -> State:
    """Retry errors that pass: for about five minutes, out of step with other executions."""
    state.add_retry(
        errors=list(errors),
        interval=Duration.seconds(2),
        backoff_rate=2,
        max_delay=Duration.minutes(1),
        max_attempts=8,
        jitter_strategy=JitterType.FULL,
    )
    return state
