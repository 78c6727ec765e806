"""A state machine with its log."""

from __future__ import annotations

from aws_cdk import Duration, RemovalPolicy, Stack
from aws_cdk.aws_logs import LogGroup, RetentionDays
from aws_cdk.aws_stepfunctions import (
    DefinitionBody,
    IChainable,
    LogLevel,
    LogOptions,
    StateMachine,
)
from constructs import Construct

from infra.grants import acknowledge

# Of one execution and each of its redrives: a large scene on few GPUs takes its time.
_TIMEOUT = Duration.days(2)


def logged_machine(
    scope: Construct, name: str, states: IChainable, *, comment: str, log_retention: RetentionDays
) -> StateMachine:
    """Make a state machine that logs its errors, and its log, in `scope`.

    Args:
        scope: has neither yet.
        name: follows the stack's name in that of the machine.
        states: the first state, with those that follow it.
        comment: one sentence on what an execution does.
        log_retention: how long the log is kept.
    """
    logs = LogGroup(scope, "Logs", retention=log_retention, removal_policy=RemovalPolicy.DESTROY)
    machine = StateMachine(
        scope,
        "Machine",
        state_machine_name=f"{Stack.of(scope).stack_name}-{name}",
        comment=comment,
        definition_body=DefinitionBody.from_chainable(states),
        timeout=_TIMEOUT,
        tracing_enabled=True,
        logs=LogOptions(destination=logs, level=LogLevel.ERROR, include_execution_data=True),
    )
    acknowledge(
        machine,
        "AwsSolutions-SF1",
        because="Step Functions keeps the whole history of an execution for 90 days itself.",
    )
    return machine
