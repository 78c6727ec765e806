"""The state machine with its role and its log."""

from __future__ import annotations

from aws_cdk import Aws, Duration, RemovalPolicy, Stack
from aws_cdk.aws_logs import LogGroup, RetentionDays
from aws_cdk.aws_stepfunctions import DefinitionBody, LogLevel, LogOptions, StateMachine
from constructs import Construct

from infra.grants import acknowledge, allow
from infra.workflow import Steps, way

# Of one execution and each of its redrives: a large scene on few GPUs takes its time.
_TIMEOUT = Duration.days(2)


class RunMachine(Construct):
    """The state machine whose executions are runs.

    Attributes:
        machine: the state machine.
    """

    def __init__(
        self, scope: Construct, construct_id: str, *, steps: Steps, log_retention: RetentionDays
    ) -> None:
        super().__init__(scope, construct_id)
        name = f"{Stack.of(self).stack_name}-runs"
        logs = LogGroup(self, "Logs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
        self.machine = StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            comment="One scene through one model, from its tiles to rows in PostGIS.",
            definition_body=DefinitionBody.from_chainable(way(self, steps)),
            timeout=_TIMEOUT,
            tracing_enabled=True,
            logs=LogOptions(destination=logs, level=LogLevel.ERROR, include_execution_data=True),
        )
        # A redriven execution redrives what failed of its map's children.
        allow(
            self.machine.role,
            "states:RedriveExecution",
            on=[f"arn:{Aws.PARTITION}:states:{Aws.REGION}:{Aws.ACCOUNT_ID}:execution:{name}/*:*"],
            because="Executions are named when they are made.",
        )
        acknowledge(
            self.machine,
            "AwsSolutions-SF1",
            because="Step Functions keeps the whole history of an execution for 90 days itself.",
        )
