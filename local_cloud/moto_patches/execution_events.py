"""Send an event to EventBridge for every change of an execution's status.

AWS: https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html

Moto 5.2.5 sends none.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from moto.events.models import events_backends
from moto.stepfunctions.parser.backend.execution import (
    BaseExecutionWorkerCommunication,
    Execution,
)

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services, run_in_background

NAME = "execution_events"

# Maximum size of input and output in an event; larger ones are omitted, since an event may have 256
# KB.
_MAX_DATA_BYTES = 248 * 1024


def apply(patcher: Patcher, services: Services) -> None:
    """Send an event to the default bus when an execution starts and when it ends."""

    def start(execution: Any) -> None:
        original_start(execution)
        put_status_event(execution, "RUNNING")

    def terminated(communication: Any) -> None:
        original_terminated(communication)
        execution = communication.execution
        put_status_event(execution, execution.status)

    original_start = patcher.replace(Execution, "start", start)
    original_terminated = patcher.replace(
        BaseExecutionWorkerCommunication, "terminated", terminated
    )


def put_status_event(execution: Any, status: str) -> None:
    """Send an event to EventBridge, without waiting for its targets."""
    detail = build_detail(execution, status)
    entry = {
        "Source": "aws.states",
        "DetailType": "Step Functions Execution Status Change",
        "Detail": json.dumps(detail),
        "Resources": [execution.exec_arn],
    }
    backend = events_backends[execution.account_id][execution.region_name]
    run_in_background(f"{execution.name} is {status}", lambda: backend.put_events([entry]))


def build_detail(execution: Any, status: str) -> dict[str, Any]:
    """Return the event's detail, with all the fields that AWS documents."""
    running = status == "RUNNING"
    succeeded = status == "SUCCEEDED"
    input_text, output = omit_large_data(
        execution.execution_input, json.dumps(execution.output) if succeeded else None
    )
    return {
        "executionArn": execution.exec_arn,
        "stateMachineArn": execution.state_machine_arn,
        "name": execution.name,
        "status": status,
        "startDate": _milliseconds(execution.start_date),
        "stopDate": None if running else _milliseconds(execution.stop_date),
        "input": input_text,
        "inputDetails": {"included": input_text is not None},
        "output": output,
        "outputDetails": {"included": output is not None} if succeeded else None,
        "stateMachineVersionArn": None,
        "stateMachineAliasArn": None,
        "redriveCount": getattr(execution, "redrive_count", 0),
        "redriveDate": _milliseconds(getattr(execution, "redrive_date", None)),
        "redriveStatus": "REDRIVABLE" if _is_redrivable(status) else "NOT_REDRIVABLE",
        "redriveStatusReason": None
        if _is_redrivable(status)
        else f"Execution is {status} and cannot be redriven",
        "error": None if running else execution.error,
        "cause": None if running else execution.cause,
    }


def _is_redrivable(status: str) -> bool:
    return status in {"FAILED", "TIMED_OUT", "ABORTED"}


def omit_large_data(input_text: str, output: str | None) -> tuple[str | None, str | None]:
    """Return input and output, without those over the limit: first the output, then both."""
    if _json_size(output) > _MAX_DATA_BYTES:
        output = None
    fits = _json_size(input_text) + _json_size(output) <= _MAX_DATA_BYTES
    return (input_text if fits else None), output


def _json_size(text: str | None) -> int:
    """Return the size of a text as a string in the event's JSON; 0 for None."""
    return 0 if text is None else len(json.dumps(text))


def _milliseconds(moment: dt.datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp() * 1000)
