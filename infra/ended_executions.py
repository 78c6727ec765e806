"""Define event patterns for Step Functions' executions that end."""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk.aws_events import EventPattern
from aws_cdk.aws_stepfunctions import IStateMachine

FAILED_STATUSES = ("FAILED", "TIMED_OUT", "ABORTED")
ENDED_STATUSES = (*FAILED_STATUSES, "SUCCEEDED")


def ended_execution_pattern(machine: IStateMachine, statuses: Sequence[str]) -> EventPattern:
    """Return the pattern of events about a state machine's executions that end with a status.

    https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    return EventPattern(
        source=["aws.states"],
        detail_type=["Step Functions Execution Status Change"],
        detail={
            "status": list(statuses),
            "stateMachineArn": [machine.state_machine_arn],
        },
    )
