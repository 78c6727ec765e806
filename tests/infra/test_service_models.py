"""Tests of the names that the stack hands to AWS's APIs: botocore's models know each one.

Step Functions passes on a task's parameters, and CloudFormation some properties, unchecked. A wrong
name fails only when it is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape

from infra import check

# Step Functions' own names of services: https://docs.aws.amazon.com/step-functions/latest/dg/supported-services-awssdk.html
SERVICES = {"sfn": "stepfunctions"}
# Parameters of the integration with Lambda, which are not those of the API.
LAMBDA = {"FunctionName", "Payload", "InvocationType", "ClientContext", "Qualifier"}
# Properties that CloudFormation hands to an API's operation: the operation, and what it does not
# have, since CloudFormation acts on it by itself.
HANDED_ON = {
    "AWS::Batch::ComputeEnvironment": (
        "batch:CreateComputeEnvironment",
        {"ReplaceComputeEnvironment", "UpdatePolicy"},
    ),
    "AWS::Batch::JobQueue": ("batch:CreateJobQueue", set()),
    "AWS::Batch::JobDefinition": ("batch:RegisterJobDefinition", {"ResourceRetentionPolicy"}),
    "AWS::EC2::LaunchTemplate": ("ec2:CreateLaunchTemplate", set()),
    "AWS::SageMaker::Model": ("sagemaker:CreateModel", set()),
    "AWS::SageMaker::EndpointConfig": ("sagemaker:CreateEndpointConfig", set()),
    "AWS::SageMaker::Endpoint": (
        "sagemaker:CreateEndpoint",
        # A parameter of UpdateEndpoint.
        {"RetainAllVariantProperties"},
    ),
    "AWS::ApplicationAutoScaling::ScalableTarget": (
        "application-autoscaling:RegisterScalableTarget",
        set(),
    ),
    "AWS::Events::Rule": ("events:PutRule", {"Targets"}),
}
# CloudFormation's own names: https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/
RENAMED = {"TagSpecifications": "TagSpecification"}


def operation(service: str, name: str) -> StructureShape:
    model = botocore.session.get_session().get_service_model(SERVICES.get(service, service))
    found = next(n for n in model.operation_names if n.lower() == name.lower())
    return model.operation_model(found).input_shape


def tasks(value: Any) -> Iterator[dict[str, Any]]:
    """Every task of a definition, in maps, too."""
    if isinstance(value, dict):
        if value.get("Type") == "Task":
            yield value
        for inner in value.values():
            yield from tasks(inner)


def unknown(given: Any, shape: Shape, path: str = "") -> Iterator[str]:
    """The names in a value that a shape does not have; the case of the first letter is free."""
    if isinstance(shape, ListShape) and isinstance(given, list):
        for item in given:
            yield from unknown(item, shape.member, path)
    elif isinstance(shape, StructureShape) and isinstance(given, dict):
        members = {name[0].upper() + name[1:]: member for name, member in shape.members.items()}
        for key, value in given.items():
            if key.startswith(("Fn::", "Ref")):
                continue
            name = key.removesuffix(".$")
            member = members.get(RENAMED.get(name, name)) or members.get(name)
            if member is None:
                yield f"{path}.{name}"
            elif not key.endswith(".$"):
                yield from unknown(value, member, f"{path}.{name}")
    elif isinstance(shape, MapShape) and isinstance(given, dict):
        for key, value in given.items():
            yield from unknown(value, shape.value, f"{path}.{key}")


def test_every_task_calls_an_operation_with_parameters_that_it_has(everything: Any):
    called = set()
    for machine in check.state_machines(everything.json).values():
        for task in tasks(machine):
            resource = task["Resource"]
            if ":function:" in resource:
                continue
            service, action = re.sub(r"^.*:::(aws-sdk:)?", "", resource).split(":")[:2]
            action = action.partition(".")[0]
            called.add(f"{service}:{action}")
            parameters = task.get("Parameters", {})
            if service == "lambda":
                assert {key.removesuffix(".$") for key in parameters} <= LAMBDA
                continue
            shape = operation(service, action)
            given = {key.removesuffix(".$") for key in parameters}
            assert list(unknown(parameters, shape)) == [], resource
            required = {name[0].upper() + name[1:] for name in shape.required_members}
            assert required <= given, resource

    assert {"batch:submitJob", "batch:terminateJob", "events:putEvents"} <= called


@pytest.mark.parametrize("kind", HANDED_ON)
def test_every_property_is_a_parameter_of_the_operation_it_is_for(everything: Any, kind: str):
    name, own = HANDED_ON[kind]
    found = everything.resources(kind)

    assert found
    for properties in found.values():
        given = {key: value for key, value in properties.items() if key not in own}
        assert list(unknown(given, operation(*name.split(":")))) == []


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ({"JobName": "a", "JobQueue.$": "$.a"}, []),
        ({"JobNam": "a"}, [".JobNam"]),
        ({"ContainerOverrides": {"Enviroment": []}}, [".ContainerOverrides.Enviroment"]),
        (
            {"RetryStrategy": {"EvaluateOnExit": [{"OnCode": "1"}]}},
            [".RetryStrategy.EvaluateOnExit.OnCode"],
        ),
    ],
)
def test_a_name_that_does_not_exist_is_found(given: Any, names: list[str]):
    assert list(unknown(given, operation("batch", "submitJob"))) == names
