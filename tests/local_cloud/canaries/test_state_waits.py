from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from moto.stepfunctions.parser.asl.component.common.retry import retrier_decl

from local_cloud.faults.kinds import TimeLapse
from local_cloud.moto_patches import state_waits
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied

# Fails at once, and is tried again after two minutes.
RETRIED = {
    "Type": "Task",
    "Resource": "arn:aws:states:::aws-sdk:sqs:getQueueUrl",
    "Parameters": {"QueueName": "no-such-queue"},
    "Retry": [{"ErrorEquals": ["States.ALL"], "IntervalSeconds": 120, "MaxAttempts": 2}],
}


def test_canary_state_waits(services: Services, aws: Aws, monkeypatch: pytest.MonkeyPatch):
    slept: list[float] = []
    monkeypatch.setattr(retrier_decl, "time", SimpleNamespace(sleep=slept.append))
    monkeypatch.setattr("local_cloud.clock.time", SimpleNamespace(sleep=slept.append))
    machine = aws.machine(("Ask", RETRIED))

    assert aws.execute(machine)["status"] == "FAILED"
    vanilla, slept[:] = list(slept), []
    with applied(services, state_waits):
        assert aws.execute(machine)["status"] == "FAILED"

    assert vanilla == [120, 240]
    assert slept == [2, 4]


def test_the_time_limit_of_a_state_is_shortened_only_by_a_time_lapse(services: Services, aws: Aws):
    waiting: dict[str, Any] = {
        "Type": "Task",
        "Resource": "arn:aws:states:::sqs:sendMessage.waitForTaskToken",
        "Parameters": {"QueueUrl": aws.queue(), "MessageBody.$": "$$.Task.Token"},
        "TimeoutSeconds": 7_200,
    }
    services.faults.switch_on(TimeLapse(factor=72_000))
    with applied(services, state_waits):
        ended = aws.execute(aws.machine(("Wait", waiting)))

    assert (ended["status"], ended["error"]) == ("FAILED", "States.Timeout")
