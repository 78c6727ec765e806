"""Create state machines with their logs."""

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

# Timeout of an execution and of each redrive: a large scene on few GPUs takes long.
_TIMEOUT = Duration.days(2)


def create_logged_machine(
    scope: Construct, name: str, states: IChainable, *, comment: str, log_retention: RetentionDays
) -> StateMachine:
    """Create a state machine that logs its errors, and its log group, in `scope`.

    Args:
        scope: Construct without a state machine or log group of its own.
        name: Suffix of the machine's name, after the stack's name.
        states: First state, linked to the states that follow.
        comment: Description of an execution in one sentence.
        log_retention: Time for which the log is kept.

    Returns:
        The state machine.
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
