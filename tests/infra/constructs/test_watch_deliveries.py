from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from swath.pipeline.deliveries.note import DUE_STEP


def test_deliveries_are_checked_by_the_clock(dev: Any):
    rule = dev.one("AWS::Events::Rule", "WatchDeliveriesSchedule")

    assert rule["ScheduleExpression"] == "rate(15 minutes)"
    assert timedelta(minutes=15) == DUE_STEP
    assert "EventPattern" not in rule


def test_a_check_that_fails_is_reported(dev: Any):
    (target,) = dev.one("AWS::Events::Rule", "WatchDeliveriesSchedule")["Targets"]
    invoke = dev.one("AWS::Lambda::EventInvokeConfig", "WatchDeliveries")

    lost = target["DeadLetterConfig"]["Arn"]
    assert lost["Fn::GetAtt"][0].startswith("UnstartedRunsQueue")
    assert invoke["DestinationConfig"]["OnFailure"]["Destination"] == lost


def test_the_time_is_a_setting_of_both_functions(synthesize: Callable[..., Any]):
    stack = synthesize(delivery_hours=48)

    for name in ("StartRun", "WatchDeliveries"):
        function = stack.one("AWS::Lambda::Function", f"{name}Function")
        assert function["Environment"]["Variables"]["SWATH_DELIVERY_HOURS"] == "48"


def test_the_function_reads_deliveries_and_publishes_to_the_topic_of_failures(dev: Any):
    policy = dev.one("AWS::IAM::Policy", "WatchDeliveriesRole")["PolicyDocument"]["Statement"]
    text = json.dumps(policy)

    assert "/deliveries/*" in text
    assert "/incoming/" not in text
    (publish,) = (one for one in policy if one["Action"] == "sns:Publish")
    assert publish["Resource"]["Ref"].startswith("FailuresTopic")
