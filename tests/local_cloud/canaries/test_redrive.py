from __future__ import annotations

import json

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import execution_events, redrive
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import REFUSALS, Aws, applied, eventually, new_name


def test_canary_redrive(services: Services, aws: Aws):
    name, sfn = new_name(), aws.client("stepfunctions")
    machine = aws.machine(
        ("First", {"Type": "Pass", "Result": "kept", "ResultPath": "$.first"}),
        (
            "Send",
            {
                "Type": "Task",
                "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
                "Parameters": {"QueueName": name},
                "ResultPath": "$.sent",
            },
        ),
    )
    failed = aws.execute(machine, {"given": 1})
    arn = failed["executionArn"]
    assert failed["status"] == "FAILED"

    with pytest.raises(REFUSALS):
        sfn.redrive_execution(executionArn=arn)
    aws.client("sqs").create_queue(QueueName=name)
    with applied(services, redrive):
        sfn.redrive_execution(executionArn=arn)
        ended = aws.ended(arn)
        with pytest.raises(ClientError, match="cannot be redriven") as refused:
            sfn.redrive_execution(executionArn=arn)

    assert ended["status"] == "SUCCEEDED"
    assert ended["name"] == failed["name"]
    assert json.loads(ended["input"]) == {"given": 1}
    assert json.loads(ended["output"]) | {"sent": None} == {
        "given": 1,
        "first": "kept",
        "sent": None,
    }
    assert (ended["redriveCount"], ended["redriveStatus"]) == (1, "NOT_REDRIVABLE")
    assert refused.value.response["Error"]["Code"] == "ExecutionNotRedrivable"
    events = [e["type"] for e in sfn.get_execution_history(executionArn=arn)["events"]]
    assert events.count("PassStateEntered") == 1, "what succeeded is not run again"
    assert events.index("ExecutionFailed") < events.index("ExecutionRedriven")


def test_an_execution_can_be_redriven_again_with_an_event_each_time(services: Services, aws: Aws):
    queue = aws.queue()
    machine = aws.machine(("Only", {"Type": "Fail", "Error": "Bad", "Cause": "still"}))
    pattern = {"detail": {"stateMachineArn": [machine], "status": ["FAILED"]}}
    rule = aws.rule(pattern, {"Arn": aws.queue_arn(queue)})

    with applied(services, redrive, execution_events):
        arn = aws.execute(machine)["executionArn"]
        counts = [eventually(lambda: aws.messages(queue), "the first failure")[0]]
        for _ in range(2):
            aws.client("stepfunctions").redrive_execution(executionArn=arn)
            counts += eventually(lambda: aws.messages(queue), "the next failure")
    aws.drop_rule(rule)

    assert [event["detail"]["redriveCount"] for event in counts] == [0, 1, 2]
