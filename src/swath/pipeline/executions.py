"""Start executions of the state machine and look up their state."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

import boto3

from swath.errors import PayloadError, TransientError
from swath.messages import RunRequest
from swath.messages.versions import SceneVersion

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef as Execution

ExecutionState = Literal["missing", "valid", "stale"]
"""State of an execution with respect to a request.

`missing`: there is no such execution. `valid`: the execution is running for the request, or has
loaded its detections. `stale`: it has ended without loading them, or was for another request.
"""

_RUNNING_STATUSES = {"RUNNING", "PENDING_REDRIVE"}


@dataclass(frozen=True, slots=True)
class Executions:
    """Executions of one state machine."""

    state_machine_arn: str
    """ARN of the state machine."""
    sfn: SFNClient
    """Client of Step Functions."""

    @classmethod
    def from_arn(cls, arn: str, sfn: SFNClient | None) -> Self:
        """Return the executions of the state machine `arn`; by default with a new client."""
        return cls(arn, sfn or boto3.client("stepfunctions"))

    def start(self, name: str, request: RunRequest) -> bool:
        """Start an execution; return False if its name is taken."""
        try:
            self.sfn.start_execution(
                stateMachineArn=self.state_machine_arn,
                name=name,
                input=json.dumps(request.to_json()),
            )
        except self.sfn.exceptions.ExecutionAlreadyExists:
            return False
        return True

    def drop_version(self, name: str) -> SceneVersion | None:
        """Return the drop that an execution is for; None if its input is not a request."""
        request = _parse_request(self._describe(name))
        return SceneVersion.from_request(request) if request else None

    def exists(self, name: str) -> bool:
        """Return whether an execution of this name was started."""
        try:
            self._describe(name)
        except self.sfn.exceptions.ExecutionDoesNotExist:
            return False
        return True

    def state(
        self, name: str, request: RunRequest, *, ended_at: datetime | None = None
    ) -> ExecutionState:
        """Return the state of an execution with respect to the request in the note.

        Args:
            name: Name of the execution.
            request: Request in the note. If the execution has another one, the note was lost and
                written again. Another run may have replaced the execution's rows since.
            ended_at: Time at which the execution ended, from an event; None without an event.

        Raises:
            TransientError: Step Functions still describes the execution as running, though it has
                ended and has not been redriven since then.
        """
        try:
            execution = self._describe(name)
        except self.sfn.exceptions.ExecutionDoesNotExist:
            return "missing"
        if _parse_request(execution) != request:
            return "stale"
        if execution["status"] in _RUNNING_STATUSES:
            # The description of an execution may lag behind its events.
            # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
            redriven_at = execution.get("redriveDate")
            if ended_at and (redriven_at is None or redriven_at < ended_at):
                raise TransientError(
                    f"execution {name} has ended, but Step Functions still describes it as running"
                )
            return "valid"
        output = json.loads(execution.get("output") or "{}")
        superseded = output.get("load", {}).get("superseded", False)
        return "valid" if execution["status"] == "SUCCEEDED" and not superseded else "stale"

    def _describe(self, name: str) -> Execution:
        arn = self.state_machine_arn.replace(":stateMachine:", ":execution:")
        return self.sfn.describe_execution(executionArn=f"{arn}:{name}")


def _parse_request(execution: Execution) -> RunRequest | None:
    """Return the request in an execution's input; None if the input is not a request."""
    try:
        return RunRequest.from_json(json.loads(execution["input"]))
    except (ValueError, PayloadError):
        return None
