"""Call a function at regular intervals; each call continues where the one before ended."""

from __future__ import annotations

from aws_cdk import Duration
from aws_cdk.aws_events import Rule, Schedule
from aws_cdk.aws_events_targets import LambdaFunction
from aws_cdk.aws_lambda_destinations import SqsDestination
from aws_cdk.aws_sqs import IQueue

from infra.constructs.function import Function


def call_regularly(
    function: Function, interval: Duration, *, description: str, dead_letter_queue: IQueue
) -> Rule:
    """Call a function at regular intervals, and keep the events of calls that failed.

    Args:
        function: Function to call, which becomes the parent of the rule.
        interval: Time between two calls.
        description: Description of the rule.
        dead_letter_queue: Queue of the events that were not handled.

    Returns:
        The rule.
    """
    # The next call continues where a failed one ended, so old events need no retry.
    function.function.configure_async_invoke(
        retry_attempts=2, max_event_age=interval, on_failure=SqsDestination(dead_letter_queue)
    )
    target = LambdaFunction(
        function.function, dead_letter_queue=dead_letter_queue, max_event_age=interval
    )
    return Rule(
        function,
        "Schedule",
        description=description,
        schedule=Schedule.rate(interval),
        targets=[target],
    )
