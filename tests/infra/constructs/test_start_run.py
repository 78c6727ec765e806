from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def rule(dev: Any) -> dict[str, Any]:
    return dev.one("AWS::Events::Rule", "StartRunSceneDropped")


def test_each_object_below_incoming_or_deliveries_is_an_event(rule: dict[str, Any]):
    pattern = rule["EventPattern"]

    assert pattern["source"] == ["aws.s3"]
    assert pattern["detail-type"] == ["Object Created"]
    assert pattern["detail"]["bucket"]["name"][0]["Ref"].startswith("StorageScenes")
    assert pattern["detail"]["object"]["key"] == [
        {"prefix": "incoming/"},
        {"prefix": "deliveries/"},
    ]


def test_an_event_is_not_lost_on_its_way_nor_in_the_function(dev: Any, rule: dict[str, Any]):
    (target,) = rule["Targets"]
    invoke = dev.one("AWS::Lambda::EventInvokeConfig", "StartRun")

    lost = target["DeadLetterConfig"]["Arn"]
    assert lost["Fn::GetAtt"][0].startswith("UnstartedRunsQueue")
    assert invoke["DestinationConfig"]["OnFailure"]["Destination"] == lost
    assert invoke["MaximumRetryAttempts"] == 2
    assert target["RetryPolicy"]["MaximumEventAgeInSeconds"] == 6 * 3600


def test_the_function_knows_the_machine_and_the_catalog(dev: Any):
    function = dev.one("AWS::Lambda::Function", "StartRun")["Environment"]["Variables"]

    assert function["SWATH_STATE_MACHINE_ARN"]["Ref"].startswith("RunsMachine")
    assert function["SWATH_CATALOG_URI"]["Fn::Sub"].startswith("s3://")
    assert function["SWATH_CATALOG_URI"]["Fn::Sub"].endswith(".json")
    assert function["SWATH_DEFAULT_MODEL"] == "ships"
    assert function["SWATH_INCOMING_PREFIX"] == "incoming/"


def test_each_run_that_ends_is_an_event_that_is_not_lost_either(dev: Any, rule: dict[str, Any]):
    ended = dev.one("AWS::Events::Rule", "StartRunRunEnded")
    pattern = ended["EventPattern"]

    assert pattern["source"] == ["aws.states"]
    assert pattern["detail-type"] == ["Step Functions Execution Status Change"]
    assert set(pattern["detail"]["status"]) == {"FAILED", "TIMED_OUT", "ABORTED", "SUCCEEDED"}
    (machine,) = pattern["detail"]["stateMachineArn"]
    assert machine["Ref"].startswith("RunsMachine")
    assert [{**t, "Id": ""} for t in ended["Targets"]] == [{**t, "Id": ""} for t in rule["Targets"]]
