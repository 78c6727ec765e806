from __future__ import annotations

from typing import Any

import pytest

from local_cloud.moto_patches import batch_properties
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import REFUSALS, Aws, applied, new_name


def test_canary_batch_properties(services: Services, aws: Aws):
    environment = compute_environment(aws)

    with pytest.raises(REFUSALS):
        aws.stack(Environment=environment)

    with applied(services, batch_properties):
        made = aws.stack(
            Environment=environment,
            Queue={
                "Type": "AWS::Batch::JobQueue",
                "Properties": {
                    "Priority": 1,
                    "ComputeEnvironmentOrder": [
                        {
                            "ComputeEnvironment": {
                                "Fn::GetAtt": ["Environment", "ComputeEnvironmentArn"]
                            },
                            "Order": 1,
                        }
                    ],
                },
            },
            Definition=JOB_DEFINITION,
        )
    (definition,) = aws.client("batch").describe_job_definitions(
        jobDefinitions=[made["Definition"]]
    )["jobDefinitions"]

    assert ":compute-environment/" in made["Environment"]
    assert ":job-queue/" in made["Queue"]
    assert definition["timeout"] == {"attemptDurationSeconds": 60}


JOB_DEFINITION = {
    "Type": "AWS::Batch::JobDefinition",
    "Properties": {
        "Type": "container",
        "Timeout": {"AttemptDurationSeconds": 60},
        "ContainerProperties": {
            "Image": "any",
            "ResourceRequirements": [
                {"Type": "MEMORY", "Value": "512"},
                {"Type": "VCPU", "Value": "1"},
            ],
        },
    },
}


def compute_environment(aws: Aws) -> dict[str, Any]:
    """As CDK writes it: in lower case, without a service role, for a family that moto lacks."""
    profile, ec2 = new_name(), aws.client("ec2")
    aws.client("iam").create_instance_profile(InstanceProfileName=profile)
    return {
        "Type": "AWS::Batch::ComputeEnvironment",
        "Properties": {
            "Type": "managed",
            "ComputeResources": {
                "Type": "SPOT",
                "MinvCpus": 0,
                "MaxvCpus": 4,
                "InstanceRole": profile,
                "InstanceTypes": ["g99"],
                "SecurityGroupIds": [
                    ec2.describe_security_groups()["SecurityGroups"][0]["GroupId"]
                ],
                "Subnets": [ec2.describe_subnets()["Subnets"][0]["SubnetId"]],
            },
        },
    }
