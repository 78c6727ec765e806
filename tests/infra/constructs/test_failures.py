from __future__ import annotations

import json
from typing import Any

import pytest

from local_cloud.moto_patches.event_delivery import transformed


@pytest.fixture
def rule(dev: Any) -> dict[str, Any]:
    return dev.one("AWS::Events::Rule", "RunFailed")


def test_every_way_to_fail_is_noticed_and_only_of_our_executions(rule: dict[str, Any]):
    pattern = rule["EventPattern"]

    assert pattern["detail-type"] == ["Step Functions Execution Status Change"]
    assert pattern["detail"]["status"] == ["FAILED", "TIMED_OUT", "ABORTED"]
    (machine,) = pattern["detail"]["stateMachineArn"]
    assert machine["Ref"].startswith("RunsMachine")


def test_a_failure_is_recorded_and_told_independently(rule: dict[str, Any]):
    recorder, topic = rule["Targets"]

    assert recorder["Arn"]["Fn::GetAtt"][0].startswith("RecordFailureFunction")
    assert "InputTransformer" not in recorder
    assert topic["Arn"]["Ref"].startswith("FailuresTopic")
    for target in (recorder, topic):
        lost = target["DeadLetterConfig"]["Arn"]["Fn::GetAtt"][0]
        assert lost.startswith("UnrecordedFailuresQueue")


CAUSE = '{"errorMessage": "s3://scenes/x.tif: not a \\"raster\\""}'


@pytest.mark.parametrize(
    "words",
    [{"error": "SceneError", "cause": CAUSE}, {"error": None, "cause": None}, {}],
    ids=["why", "null", "absent"],
)
@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_the_message_is_json_whatever_is_in_the_event(
    rule: dict[str, Any], status: str, words: dict[str, Any]
):
    detail = {
        "name": "0197-run",
        "status": status,
        "input": '{"scene": {"uri": "s3://scenes/x.tif"}}',
        "executionArn": "arn:aws:states:::execution:swath-runs:0197-run",
        **words,
    }

    message = json.loads(transformed(rule["Targets"][1], {"time": "", "detail": detail}))

    assert (message["run"], message["status"]) == ("0197-run", status)
    assert message["execution"] == detail["executionArn"]
    assert message["detail"] == detail


def test_the_topic_takes_tls_only_and_messages_from_rules_and_alarms(dev: Any):
    statements = dev.one("AWS::SNS::TopicPolicy")["PolicyDocument"]["Statement"]
    denied = [s for s in statements if s["Effect"] == "Deny"]
    allowed = {s["Principal"]["Service"] for s in statements if s["Effect"] == "Allow"}

    assert denied[0]["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert allowed == {"events.amazonaws.com", "cloudwatch.amazonaws.com"}


def test_dead_letters_raise_an_alarm(dev: Any):
    alarms = dev.resources("AWS::CloudWatch::Alarm")

    letters = {name[:-8]: alarm for name, alarm in alarms.items() if name[:-8].endswith("Alarm")}
    assert set(letters) == {"UnstartedRunsAlarm", "UnrecordedFailuresAlarm"}
    for alarm in letters.values():
        assert (alarm["Threshold"], alarm["ComparisonOperator"]) == (0, "GreaterThanThreshold")
        (action,) = alarm["AlarmActions"]
        assert action["Ref"].startswith("FailuresTopic")


def test_nobody_is_mailed_unless_the_settings_name_them(dev: Any, production: Any):
    assert dev.resources("AWS::SNS::Subscription") == {}
    subscription = production.one("AWS::SNS::Subscription")
    assert (subscription["Protocol"], subscription["Endpoint"]) == ("email", "ops@example.org")
