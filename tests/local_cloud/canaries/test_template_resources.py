from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError
from moto.cloudformation import parsing

from local_cloud.moto_patches import endpoint_configurations, template_resources
from local_cloud.resources import FACTORIES
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import ROLE, Aws, applied, new_name

# Moto makes these, but not as this cloud needs them; see their factories.
MOTO_MAKES_ANOTHER = {
    "AWS::EC2::FlowLog",
    "AWS::EC2::SubnetRouteTableAssociation",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::RDS::DBInstance",
    "AWS::RDS::DBSubnetGroup",
    "AWS::SageMaker::Endpoint",
    "AWS::SageMaker::EndpointConfig",
    "AWS::SageMaker::Model",
}
UNKNOWN = sorted(
    name for name in FACTORIES.keys() - MOTO_MAKES_ANOTHER if not name.startswith("Custom::")
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
        pytest.raises(ClientError, match=r"supports the type AWS::GroundStation::Config"),
    ):
        aws.stack(Antenna=odd)


def test_a_resource_that_cannot_be_made_is_named_with_the_reason(services: Services, aws: Aws):
    policy = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {"Queues": ["http://127.0.0.1/no/queue"], "PolicyDocument": allow("*")},
    }
    with (
        applied(services, template_resources),
        pytest.raises(ClientError, match=r"Policy \(AWS::SQS::QueuePolicy\) could not be created"),
    ):
        aws.stack(Policy=policy)


def test_an_endpoint_has_the_name_that_the_template_gives_it_and_scales(
    services: Services, aws: Aws
):
    name = new_name()
    resources = endpoint_resources(name)
    with applied(services, endpoint_configurations, template_resources):
        made = aws.stack(**resources)
        endpoint = aws.client("sagemaker").describe_endpoint(EndpointName=name)
        config = aws.client("sagemaker").describe_endpoint_config(
            EndpointConfigName=endpoint["EndpointConfigName"]
        )
    scaling = aws.client("application-autoscaling")
    (target,) = scaling.describe_scalable_targets(
        ServiceNamespace="sagemaker", ResourceIds=[f"endpoint/{name}/variant/AllTraffic"]
    )["ScalableTargets"]
    policies = scaling.describe_scaling_policies(
        ServiceNamespace="sagemaker", ResourceId=f"endpoint/{name}/variant/AllTraffic"
    )["ScalingPolicies"]

    assert made["Endpoint"] == endpoint["EndpointArn"]
    assert endpoint["AsyncInferenceConfig"]["OutputConfig"]["S3OutputPath"] == "s3://b/out"
    model = aws.client("sagemaker").describe_model(
        ModelName=config["ProductionVariants"][0]["ModelName"]
    )
    assert model["PrimaryContainer"]["Image"] == "image"
    assert (target["MinCapacity"], target["MaxCapacity"]) == (0, 2)
    assert [policy["PolicyName"] for policy in policies] == ["backlog"]


def endpoint_resources(name: str) -> dict[str, Any]:
    """An asynchronous endpoint that scales, as a template has it."""
    variant = {
        "VariantName": "AllTraffic",
        "ModelName": {"Fn::GetAtt": ["Model", "ModelName"]},
        "InstanceType": "ml.g5.xlarge",
        "InitialInstanceCount": 1,
    }
    config = {
        "ProductionVariants": [variant],
        "AsyncInferenceConfig": {"OutputConfig": {"S3OutputPath": "s3://b/out"}},
    }
    endpoint = {
        "EndpointName": name,
        "EndpointConfigName": {"Fn::GetAtt": ["Config", "EndpointConfigName"]},
    }
    named = {"Fn::GetAtt": ["Endpoint", "EndpointName"]}
    resource_id = {"Fn::Join": ["/", ["endpoint", named, "variant", "AllTraffic"]]}
    target = {
        "MinCapacity": 0,
        "MaxCapacity": 2,
        "ResourceId": resource_id,
        "RoleARN": ROLE,
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
        "ServiceNamespace": "sagemaker",
    }
    tracking = {
        "TargetValue": 5,
        "CustomizedMetricSpecification": {
            "MetricName": "ApproximateBacklogSizePerInstance",
            "Namespace": "AWS/SageMaker",
            "Statistic": "Average",
        },
    }
    policy = {
        "PolicyName": "backlog",
        "PolicyType": "TargetTrackingScaling",
        "ScalingTargetId": {"Ref": "Target"},
        "TargetTrackingScalingPolicyConfiguration": tracking,
    }
    model = {"ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": "image"}}
    kinds = {
        "Model": ("SageMaker::Model", model),
        "Config": ("SageMaker::EndpointConfig", config),
        "Endpoint": ("SageMaker::Endpoint", endpoint),
        "Target": ("ApplicationAutoScaling::ScalableTarget", target),
        "Policy": ("ApplicationAutoScaling::ScalingPolicy", policy),
    }
    return {
        logical: {"Type": f"AWS::{kind}", "Properties": properties}
        for logical, (kind, properties) in kinds.items()
    }


def allow(action: str) -> dict[str, Any]:
    statement = {"Effect": "Allow", "Principal": "*", "Action": action, "Resource": "*"}
    return {"Version": "2012-10-17", "Statement": [statement]}
