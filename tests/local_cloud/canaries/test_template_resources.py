from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.cloudformation import parsing

from local_cloud.moto_patches import template_resources
from local_cloud.resources import MAKERS
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied

# Moto makes these, but not as this cloud needs them; see their makers.
MOTO_MAKES_ANOTHER = {"AWS::EC2::FlowLog", "AWS::Lambda::Version", "AWS::RDS::DBInstance"}
UNKNOWN = sorted(
    name for name in MAKERS.keys() - MOTO_MAKES_ANOTHER if not name.startswith("Custom::")
)


@pytest.mark.parametrize("resource_type", UNKNOWN)
def test_canary_moto_makes_no(resource_type: str):
    assert parsing.resource_class_from_type(resource_type) is None


def test_canary_template_resources(services: Services, aws: Aws):
    queue = aws.queue()
    policy = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {"Queues": [queue], "PolicyDocument": allow("sqs:SendMessage")},
    }
    assert "AWS::SQS::QueuePolicy" not in parsing.get_model_map()

    with applied(services, template_resources):
        aws.stack(Policy=policy)

    attributes = aws.client("sqs").get_queue_attributes(QueueUrl=queue, AttributeNames=["Policy"])[
        "Attributes"
    ]
    assert json.loads(attributes["Policy"]) == allow("sqs:SendMessage")


def test_a_bucket_policys_conditional_denials_are_left_out(services: Services, aws: Aws):
    bucket = aws.bucket()
    insecure = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    document = allow("s3:GetObject")
    policy = {
        "Type": "AWS::S3::BucketPolicy",
        "Properties": {
            "Bucket": bucket,
            "PolicyDocument": {**document, "Statement": [insecure, *document["Statement"]]},
        },
    }
    with applied(services, template_resources):
        aws.stack(Policy=policy)

    kept = json.loads(aws.client("s3").get_bucket_policy(Bucket=bucket)["Policy"])
    assert kept["Statement"] == document["Statement"]
    aws.client("s3").put_object(Bucket=bucket, Key="x", Body=b"")


def test_a_type_that_nobody_makes_fails_the_deployment_by_name(services: Services, aws: Aws):
    odd = {"Type": "AWS::GroundStation::Config", "Properties": {}}
    with (
        applied(services, template_resources),
        pytest.raises(ClientError, match=r"makes a AWS::GroundStation::Config"),
    ):
        aws.stack(Antenna=odd)


def test_a_resource_that_cannot_be_made_is_named_with_the_reason(services: Services, aws: Aws):
    policy = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {"Queues": ["http://127.0.0.1/no/queue"], "PolicyDocument": allow("*")},
    }
    with (
        applied(services, template_resources),
        pytest.raises(ClientError, match=r"Policy \(AWS::SQS::QueuePolicy\) could not be made"),
    ):
        aws.stack(Policy=policy)


def allow(action: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
