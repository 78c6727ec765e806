"""The function that notes in the database that a run failed, and the machine that calls it."""

from __future__ import annotations

from typing import Unpack

from aws_cdk import Duration
from aws_cdk.aws_events import EventPattern, Rule
from aws_cdk.aws_events_targets import SqsQueue
from aws_cdk.aws_lambda import IFunction
from aws_cdk.aws_logs import RetentionDays
from aws_cdk.aws_sqs import IQueue
from aws_cdk.aws_stepfunctions import IStateMachine
from aws_cdk.aws_stepfunctions_tasks import LambdaInvoke
from constructs import Construct

from infra.constructs.database_function import DatabaseFunction, Inside
from infra.constructs.logged_machine import logged_machine
from infra.grants import acknowledge_wildcards
from infra.retries import retry_function_for_hours


class RecordFailure(DatabaseFunction):
    """Lambda `record_failure`."""

    def __init__(self, scope: Construct, construct_id: str, **inside: Unpack[Inside]) -> None:
        super().__init__(
            scope,
            construct_id,
            name="record_failure",
            memory_mib=512,
            timeout=Duration.minutes(3),
            **inside,
        )


class RecordFailureMachine(Construct):
    """The state machine that has a failure recorded, however long the database is away.

    Lambda itself retries an event twice, within minutes. There is no `Catch`: an execution that
    fails is redriven at its only state, and the dead letter queue has the event that it failed.

    Attributes:
        machine: the state machine; its input is the event of a failed run.
    """

    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        recorder: IFunction,
        dead_letters: IQueue,
        log_retention: RetentionDays,
    ) -> None:
        super().__init__(scope, construct_id)
        record = LambdaInvoke(
            self,
            "RecordFailure",
            lambda_function=recorder,
            payload_response_only=True,
            retry_on_service_exceptions=False,
        )
        self.machine = logged_machine(
            self,
            "record-failure",
            retry_function_for_hours(record),
            comment="Record in the database that a run failed, and why.",
            log_retention=log_retention,
        )
        acknowledge_wildcards(
            self.machine,
            f"{recorder.function_arn}:*",
            because="The CDK gives the right to call each version of a function.",
        )
        acknowledge_wildcards(
            self.machine,
            "*",
            because="Logs and traces: AWS knows no narrower resource for these actions.",
        )
        Rule(
            self,
            "Unrecorded",
            description="swath: a failure was not recorded",
            event_pattern=failed_executions(self.machine),
            targets=[SqsQueue(dead_letters)],
        )


def failed_executions(machine: IStateMachine) -> EventPattern:
    """Return the pattern of the events about a state machine's executions that fail."""
    return EventPattern(
        source=["aws.states"],
        detail_type=["Step Functions Execution Status Change"],
        detail={
            "status": ["FAILED", "TIMED_OUT", "ABORTED"],
            "stateMachineArn": [machine.state_machine_arn],
        },
    )
