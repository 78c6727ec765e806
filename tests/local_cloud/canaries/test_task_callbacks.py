from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import task_callbacks
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, eventually, new_name


@pytest.fixture
def queue(aws: Aws) -> str:
    return aws.queue()


def start(aws: Aws, queue: str, **state: Any) -> str:
    """An execution that waits for an answer to the token that it has put on the queue."""
    wait = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": queue, "MessageBody": {"token.$": "$$.Task.Token"}},
        **state,
    }
    return aws.client("stepfunctions").start_execution(
        stateMachineArn=aws.machine(("Wait", wait)), name=new_name()
    )["executionArn"]


def token(aws: Aws, queue: str) -> str:
    (message,) = eventually(lambda: aws.messages(queue), "the token")
    return message["token"]


def succeed(aws: Aws, token: str, outcome: str = "fine") -> None:
    aws.client("stepfunctions").send_task_success(
        taskToken=token, output=json.dumps({"said": outcome})
    )


def fail(aws: Aws, token: str) -> None:
    aws.client("stepfunctions").send_task_failure(taskToken=token, error="Odd", cause="because")


def test_canary_task_callbacks(services: Services, aws: Aws, queue: str):
    vanilla = start(aws, queue)
    fail(aws, token(aws, queue))
    assert "cause" not in aws.ended(vanilla)

    with applied(services, task_callbacks):
        execution = start(aws, queue)
        waiting = token(aws, queue)
        fail(aws, waiting)
        ended = aws.ended(execution)
        with pytest.raises(ClientError, match="TaskTimedOut"):
            fail(aws, waiting)

    assert (ended["error"], ended["cause"]) == ("Odd", "because")


def test_the_first_response_counts_and_the_second_is_refused(
    services: Services, aws: Aws, queue: str
):
    with applied(services, task_callbacks):
        execution = start(aws, queue)
        waiting = token(aws, queue)
        succeed(aws, waiting, "first")
        with pytest.raises(ClientError, match="TaskTimedOut"):
            succeed(aws, waiting, "second")
        ended = aws.ended(execution)

    assert json.loads(ended["output"]) == {"said": "first"}


def test_a_response_to_a_timed_out_task_is_refused(services: Services, aws: Aws, queue: str):
    with applied(services, task_callbacks):
        execution = start(aws, queue, TimeoutSeconds=1)
        waiting = token(aws, queue)
        ended = aws.ended(execution)
        with pytest.raises(ClientError, match="TaskTimedOut"):
            succeed(aws, waiting)

    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")


def test_a_token_that_nobody_gave_is_refused(services: Services, aws: Aws):
    with applied(services, task_callbacks), pytest.raises(ClientError, match="InvalidToken"):
        succeed(aws, "no token")


def test_a_retried_task_has_a_new_token(services: Services, aws: Aws, queue: str):
    again = [{"ErrorEquals": ["States.Timeout"], "IntervalSeconds": 1, "MaxAttempts": 1}]
    with applied(services, task_callbacks):
        execution = start(aws, queue, TimeoutSeconds=1, Retry=again)
        first, second = token(aws, queue), token(aws, queue)
        with pytest.raises(ClientError, match="TaskTimedOut"):
            succeed(aws, first, "too late")
        succeed(aws, second, "at last")
        ended = aws.ended(execution)

    assert first != second
    assert json.loads(ended["output"]) == {"said": "at last"}
