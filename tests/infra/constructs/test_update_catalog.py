from __future__ import annotations

import json
from typing import Any


def test_the_catalog_is_updated_by_the_clock(dev: Any):
    rule = dev.one("AWS::Events::Rule", "UpdateCatalogSchedule")
    assert rule["ScheduleExpression"] == "rate(15 minutes)"


def test_an_update_that_fails_is_reported(dev: Any):
    (target,) = dev.one("AWS::Events::Rule", "UpdateCatalogSchedule")["Targets"]
    invoke = dev.one("AWS::Lambda::EventInvokeConfig", "UpdateCatalog")
    lost = target["DeadLetterConfig"]["Arn"]
    assert lost["Fn::GetAtt"][0].startswith("FailedCatalogsQueue")
    assert invoke["DestinationConfig"]["OnFailure"]["Destination"] == lost


def test_the_function_writes_the_catalog_and_no_results(dev: Any):
    policy = dev.one("AWS::IAM::Policy", "UpdateCatalogRole")["PolicyDocument"]["Statement"]
    text = json.dumps([one for one in policy if "s3:" in json.dumps(one["Action"])])
    assert "/stac/*" in text
    assert "/runs/" not in text
    assert "s3:DeleteObject" not in text


def test_entries_expire(dev: Any):
    rules = dev.one("AWS::S3::Bucket", "StorageResults")["LifecycleConfiguration"]["Rules"]
    (entries,) = (rule for rule in rules if rule.get("Prefix") == "stac/entries/")
    assert entries["ExpirationInDays"] == 30
