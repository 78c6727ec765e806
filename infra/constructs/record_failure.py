"""Define the function that records a failed run in the database, and the machine that calls it.

Before that, the machine calls `find_cause` for the true cause, and publishes it to the topic.
"""

from __future__ import annotations

from typing import Unpack

from aws_cdk import Duration
from aws_cdk.aws_events import EventPattern, Rule
from aws_cdk.aws_events_targets import SqsQueue
from aws_cdk.aws_lambda import IFunction
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_sns import ITopic
from aws_cdk.aws_sqs import IQueue
from aws_cdk.aws_stepfunctions import IStateMachine, JsonPath, TaskInput
from aws_cdk.aws_stepfunctions_tasks import LambdaInvoke, SnsPublish
from constructs import Construct

from infra.constructs.database_function import DatabaseAccess, DatabaseFunction
from infra.constructs.logged_machine import create_logged_machine
from infra.ended_executions import FAILED_STATUSES, ended_execution_pattern
from infra.grants import acknowledge_wildcards
from infra.retries import with_function_retries, with_long_function_retries, with_retries


class RecordFailure(DatabaseFunction):
    """Lambda `record_failure`."""

    def __init__(
        self, scope: Construct, construct_id: str, **database_access: Unpack[DatabaseAccess]
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            name="record_failure",
            memory_mib=512,
            timeout=Duration.minutes(3),
            **database_access,
        )


class RecordFailureMachine(Construct):
    """State machine that determines the cause of a failure, publishes it and records it.

    The machine retries for hours while the database is down; Lambda itself would retry an event
    only twice, within minutes. A failure is recorded even if its cause cannot be determined or
    published. The recording state has no `Catch`: a failed execution can be redriven there, and its
    event is in the dead-letter queue.

    Attributes:
        machine: State machine, whose input is the event of a failed run.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        find_cause: IFunction,
        record_failure: IFunction,
        topic: ITopic,
        dead_letter_queue: IQueue,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        record = with_long_function_retries(_add_invocation(self, "RecordFailure", record_failure))
        # The failure is published before it is recorded, since the database may be the cause.
        publish = _add_publication(self, topic).add_catch(record, result_path=JsonPath.DISCARD)
        determine = with_function_retries(_add_invocation(self, "FindCause", find_cause))
        determine.add_catch(publish, result_path=JsonPath.DISCARD)
        self.machine = create_logged_machine(
            self,
            "record-failure",
            determine.next(publish).next(record),
            comment="Determine why a run failed, publish the cause and record it.",
            log_retention=log_retention,
        )
        for function in (find_cause, record_failure):
            acknowledge_wildcards(
                self.machine,
                f"{function.function_arn}:*",
                because="The CDK grants the permission to call each version of a function.",
            )
        acknowledge_wildcards(
            self.machine,
            "*",
            because="Actions of logs and traces support no narrower resource.",
        )
        Rule(
            self,
            "Unrecorded",
            description="swath: a failure was not recorded",
            event_pattern=failed_execution_pattern(self.machine),
            targets=[SqsQueue(dead_letter_queue)],
        )


def _add_invocation(scope: Construct, name: str, function: IFunction) -> LambdaInvoke:
    """Create a state that passes its input to a function, and passes on the function's result."""
    return LambdaInvoke(
        scope,
        name,
        lambda_function=function,
        payload_response_only=True,
        retry_on_service_exceptions=False,
    )


def _add_publication(scope: Construct, topic: ITopic) -> SnsPublish:
    """Create the state that publishes a failure to the topic.

    The message uses only fields that the event has even without a determined cause. The execution's
    error and cause are in `detail`, as is the request, which is JSON within a string.
    """
    message = {
        "message": "A swath run failed. Drop its scene again to resume the run.",
        "run": JsonPath.string_at("$.detail.name"),
        "status": JsonPath.string_at("$.detail.status"),
        "execution": JsonPath.string_at("$.detail.executionArn"),
        "detail": JsonPath.object_at("$.detail"),
    }
    state = SnsPublish(
        scope,
        "PublishFailure",
        topic=topic,
        message=TaskInput.from_object(message),
        result_path=JsonPath.DISCARD,
    )
    return with_retries(state, ["States.TaskFailed"])


def failed_execution_pattern(machine: IStateMachine) -> EventPattern:
    """Return the pattern of events about a state machine's failed executions."""
    return ended_execution_pattern(machine, FAILED_STATUSES)
