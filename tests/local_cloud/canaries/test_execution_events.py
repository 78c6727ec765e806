from __future__ import annotations

import json

import pytest

from local_cloud.moto_patches import execution_events
from local_cloud.moto_patches.execution_events import omit_large_data
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, eventually

# https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
FIELDS = {
    *("executionArn", "stateMachineArn", "name", "status", "startDate", "stopDate", "input"),
    *("inputDetails", "output", "outputDetails", "error", "cause", "redriveCount"),
    *("redriveDate", "redriveStatus", "redriveStatusReason", "stateMachineVersionArn"),
    "stateMachineAliasArn",
}


def test_canary_execution_events(services: Services, aws: Aws):
    queue = aws.queue()
    machine = aws.machine(("Only", {"Type": "Pass", "Result": {"done": True}}))
    pattern = {"source": ["aws.states"], "detail": {"stateMachineArn": [machine]}}
    rule = aws.rule(pattern, {"Arn": aws.queue_arn(queue)})

    aws.execute(machine, {"x": 1})
    assert aws.messages(queue) == []
    with applied(services, execution_events):
        ended = aws.execute(machine, {"x": 1})
        events = []
        eventually(lambda: events.extend(aws.messages(queue)) or len(events) == 2, "two events")
    aws.drop_rule(rule)

    running, done = sorted((e["detail"] for e in events), key=lambda d: d["status"])
    assert running["status"] == "RUNNING"
    assert running["stopDate"] is None
    assert done["status"] == "SUCCEEDED"
    assert done.keys() == running.keys() == FIELDS
    assert done["executionArn"] == ended["executionArn"]
    assert json.loads(done["input"]) == {"x": 1}
    assert json.loads(done["output"]) == {"done": True}
    assert 0 < done["startDate"] <= done["stopDate"]
    assert {e["detail-type"] for e in events} == {"Step Functions Execution Status Change"}


def test_a_failure_carries_its_error_and_cause(services: Services, aws: Aws):
    queue = aws.queue()
    machine = aws.machine(("Only", {"Type": "Fail", "Error": "Bad", "Cause": "of this"}))
    pattern = {"detail": {"stateMachineArn": [machine], "status": ["FAILED"]}}
    rule = aws.rule(pattern, {"Arn": aws.queue_arn(queue)})

    with applied(services, execution_events):
        aws.execute(machine)
        (event,) = eventually(lambda: aws.messages(queue), "the event")
    aws.drop_rule(rule)

    assert (event["detail"]["error"], event["detail"]["cause"]) == ("Bad", "of this")
    assert event["detail"]["redriveStatus"] == "REDRIVABLE"


SMALL, LARGE, HALF = "x", "x" * 250 * 1024, "x" * 200 * 1024


@pytest.mark.parametrize(
    ("given", "output", "kept"),
    [
        (SMALL, None, (SMALL, None)),
        (SMALL, SMALL, (SMALL, SMALL)),
        (SMALL, LARGE, (SMALL, None)),
        (LARGE, SMALL, (None, SMALL)),
        (HALF, HALF, (None, HALF)),
    ],
)
def test_large_data_is_omitted_from_an_event(given: str, output: str | None, kept: object):
    assert omit_large_data(given, output) == kept
