"""The executions of the state machine: whether they are there, and how they are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Self

import boto3

from swath.errors import PayloadError, TransientError
from swath.messages import RunRequest
from swath.messages.versions import Version

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient
    from mypy_boto3_stepfunctions.type_defs import DescribeExecutionOutputTypeDef as Execution

Standing = Literal["absent", "good", "over"]
"""`good`: an execution is under way for a request, or has loaded its run."""

_UNDER_WAY = {"RUNNING", "PENDING_REDRIVE"}


@dataclass(frozen=True, slots=True)
class Executions:
    """The executions of one state machine."""

    machine_arn: str
    states: SFNClient

    @classmethod
    def of_machine(cls, arn: str, states: SFNClient | None) -> Self:
        """Use a client of Step Functions, or make one."""
        return cls(arn, states or boto3.client("stepfunctions"))

    def start(self, name: str, request: RunRequest) -> bool:
        """Start an execution; False where the name is taken."""
        try:
            self.states.start_execution(
                stateMachineArn=self.machine_arn, name=name, input=json.dumps(request.to_json())
            )
        except self.states.exceptions.ExecutionAlreadyExists:
            return False
        return True

    def requested(self, name: str) -> Version | None:
        """Return the drop that an execution was started for; None where its input is no run."""
        request = _request(self._describe(name))
        return Version.of(request) if request else None

    def have(self, name: str) -> bool:
        """Return whether an execution was started at all."""
        try:
            self._describe(name)
        except self.states.exceptions.ExecutionDoesNotExist:
            return False
        return True

    def standing(
        self, name: str, request: RunRequest, *, ended_at: datetime | None = None
    ) -> Standing:
        """Return how an execution stands towards the request that it is to run.

        Args:
            name: the execution's name.
            request: as it was noted. An execution of another one was there before the note, which
                was lost and written anew: its rows may have been replaced since, unnoticed.
            ended_at: when the execution has ended, as an event says; None where there is no event.

        Raises:
            TransientError: Step Functions says that the execution is under way, though it has ended
                and was not redriven since.
        """
        try:
            execution = self._describe(name)
        except self.states.exceptions.ExecutionDoesNotExist:
            return "absent"
        if _request(execution) != request:
            return "over"
        if execution["status"] in _UNDER_WAY:
            # What an execution is described by may lag behind its events.
            # https://docs.aws.amazon.com/step-functions/latest/apireference/API_DescribeExecution.html
            redriven_at = execution.get("redriveDate")
            if ended_at and (redriven_at is None or redriven_at < ended_at):
                raise TransientError(f"execution {name} has ended, but is said to be under way")
            return "good"
        output = json.loads(execution.get("output") or "{}")
        superseded = output.get("load", {}).get("superseded", False)
        return "good" if execution["status"] == "SUCCEEDED" and not superseded else "over"

    def _describe(self, name: str) -> Execution:
        arn = self.machine_arn.replace(":stateMachine:", ":execution:")
        return self.states.describe_execution(executionArn=f"{arn}:{name}")


def _request(execution: Execution) -> RunRequest | None:
    """Return what an execution was started with; None where that is no run."""
    try:
        return RunRequest.from_json(json.loads(execution["input"]))
    except (ValueError, PayloadError):
        return None
