from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import (
    batch_properties,
    redrive,
    stack_operations,
    state_machine_creation,
    template_resources,
)
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import ROLE, Aws, applied, new_name
from tests.local_cloud.canaries.test_batch_properties import JOB_DEFINITION
from tests.local_cloud.canaries.test_template_resources import allow


@pytest.fixture
def operations(services: Services) -> Iterator[None]:
    with applied(services, batch_properties, stack_operations, template_resources):
        yield


class Stack:
    """A stack of small resources, seen from outside."""

    def __init__(self, aws: Aws, **resources: Any) -> None:
        self.aws, self.name = aws, new_name()
        self.formation = aws.client("cloudformation")
        self.formation.create_stack(StackName=self.name, TemplateBody=template(resources))

    def update(self, **resources: Any) -> str:
        self.formation.update_stack(StackName=self.name, TemplateBody=template(resources))
        return self.status

    def delete(self) -> str:
        stack_id = self.description["StackId"]
        self.formation.delete_stack(StackName=self.name)
        (stack,) = self.formation.describe_stacks(StackName=stack_id)["Stacks"]
        return str(stack["StackStatus"])

    @property
    def description(self) -> dict[str, Any]:
        (stack,) = self.formation.describe_stacks(StackName=self.name)["Stacks"]
        return dict(stack)

    @property
    def status(self) -> str:
        return str(self.description["StackStatus"])

    @property
    def physical(self) -> dict[str, str]:
        found = self.formation.list_stack_resources(StackName=self.name)["StackResourceSummaries"]
        return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found}

    def reasons(self) -> str:
        events = self.formation.describe_stack_events(StackName=self.name)["StackEvents"]
        return "\n".join(event.get("ResourceStatusReason") or "" for event in events)


def template(resources: dict[str, Any]) -> str:
    outputs = {name: {"Value": {"Ref": name}} for name in resources}
    return json.dumps({"Resources": resources, "Outputs": outputs})


def log_group(days: int, name: str = "", **attributes: Any) -> dict[str, Any]:
    named = {"LogGroupName": name} if name else {}
    properties = {"RetentionInDays": days, **named}
    return {"Type": "AWS::Logs::LogGroup", "Properties": properties, **attributes}


def bucket(**attributes: Any) -> dict[str, Any]:
    return {"Type": "AWS::S3::Bucket", "Properties": {}, **attributes}


def retention(aws: Aws, name: str) -> int | None:
    groups = aws.client("logs").describe_log_groups(logGroupNamePrefix=name)["logGroups"]
    return groups[0].get("retentionInDays") if groups else None


def bucket_names(aws: Aws) -> set[str]:
    return {found["Name"] for found in aws.client("s3").list_buckets()["Buckets"]}


# Nobody makes one, so a stack with it fails.
IMPOSSIBLE = {"Type": "AWS::GroundStation::Config", "Properties": {}, "DependsOn": ["Logs"]}


def test_canary_stack_operations(services: Services, aws: Aws):
    vanilla = Stack(aws, Bucket=bucket())
    name = vanilla.physical["Bucket"]
    aws.client("s3").put_object(Bucket=name, Key="x", Body=b"")
    assert vanilla.delete() == "DELETE_COMPLETE"
    assert name in bucket_names(aws)

    with applied(services, stack_operations, template_resources):
        stack = Stack(aws, Bucket=bucket())
        aws.client("s3").put_object(Bucket=stack.physical["Bucket"], Key="x", Body=b"")

        assert stack.delete() == "DELETE_FAILED"
        assert "BucketNotEmpty" in stack.reasons()

        aws.client("s3").delete_object(Bucket=stack.physical["Bucket"], Key="x")
        name = stack.physical["Bucket"]
        assert stack.delete() == "DELETE_COMPLETE"
        assert name not in bucket_names(aws)


@pytest.mark.usefixtures("operations")
def test_a_property_is_changed_in_place(aws: Aws):
    stack = Stack(aws, Logs=log_group(7))
    before = stack.physical

    assert stack.update(Logs=log_group(14)) == "UPDATE_COMPLETE"

    assert stack.physical == before
    assert retention(aws, before["Logs"]) == 14


@pytest.mark.usefixtures("operations")
def test_references_to_a_replaced_resource_are_updated(aws: Aws):
    first, second = new_name(), new_name()
    policy = {
        "Type": "AWS::SQS::QueuePolicy",
        "Properties": {"Queues": [{"Ref": "Queue"}], "PolicyDocument": allow("sqs:SendMessage")},
    }

    def queue(name: str) -> dict[str, Any]:
        return {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name}}

    stack = Stack(aws, Queue=queue(first), Policy=policy)
    old = stack.physical["Queue"]

    assert stack.update(Queue=queue(second), Policy=policy) == "UPDATE_COMPLETE"

    new = stack.physical["Queue"]
    read = aws.client("sqs").get_queue_attributes(QueueUrl=new, AttributeNames=["Policy"])
    assert json.loads(read["Attributes"]["Policy"]) == allow("sqs:SendMessage")
    assert {o["OutputKey"]: o["OutputValue"] for o in stack.description["Outputs"]}["Queue"] == new
    assert old not in aws.client("sqs").list_queues(QueueNamePrefix=first).get("QueueUrls", [])


@pytest.mark.usefixtures("operations")
def test_an_update_that_fails_is_rolled_back(aws: Aws):
    gone, renamed = new_name(), new_name()
    stack = Stack(aws, Logs=log_group(7), Named=log_group(7, gone), Removed=bucket())
    before, outputs = stack.physical, stack.description["Outputs"]

    status = stack.update(
        Logs=log_group(14), Named=log_group(14, renamed), Added=bucket(), Antenna=IMPOSSIBLE
    )

    assert status == "UPDATE_ROLLBACK_COMPLETE"
    assert "supports the type AWS::GroundStation::Config" in stack.reasons()
    assert stack.physical == before
    assert stack.description["Outputs"] == outputs
    assert [retention(aws, before[name]) for name in ("Logs", "Named")] == [7, 7]
    assert retention(aws, renamed) is None
    assert before["Removed"] in bucket_names(aws)
    assert not [name for name in bucket_names(aws) if "added" in name]
    assert stack.update(Logs=log_group(14)) == "UPDATE_COMPLETE"


@pytest.mark.usefixtures("operations")
def test_a_failed_first_deployment_leaves_retained_resources(aws: Aws):
    kept, gone = new_name(), new_name()

    stack = Stack(
        aws,
        Logs=log_group(7, gone),
        Kept=log_group(7, kept, DeletionPolicy="Retain"),
        Antenna={**IMPOSSIBLE, "DependsOn": ["Logs", "Kept"]},
    )

    assert stack.status == "ROLLBACK_COMPLETE"
    assert retention(aws, kept) == 7
    assert retention(aws, gone) is None
    assert stack.description.get("Outputs", []) == []


@pytest.mark.usefixtures("operations")
def test_a_retained_resource_retains_its_references(aws: Aws):
    stack = Stack(
        aws, Bucket=bucket(), Logs=log_group(7), Holder=bucket(DependsOn=["Bucket", "Logs"])
    )
    aws.client("s3").put_object(Bucket=stack.physical["Holder"], Key="x", Body=b"")

    assert stack.delete() == "DELETE_FAILED"

    assert stack.physical.keys() == {"Bucket", "Logs", "Holder"}
    assert stack.reasons().count("could not be deleted") == 1


@pytest.mark.usefixtures("operations")
def test_a_protected_stack_is_not_deleted(aws: Aws):
    stack = Stack(aws, Bucket=bucket())
    protect = stack.formation.update_termination_protection
    protect(StackName=stack.name, EnableTerminationProtection=True)

    with pytest.raises(ClientError, match="while TerminationProtection is enabled"):
        stack.delete()

    protect(StackName=stack.name, EnableTerminationProtection=False)
    assert stack.delete() == "DELETE_COMPLETE"


@pytest.mark.usefixtures("operations")
@pytest.mark.parametrize(("skip", "status"), [(False, "INACTIVE"), (True, "ACTIVE")])
def test_a_changed_job_definition_has_a_new_revision(aws: Aws, skip: bool, status: str):
    def definition(seconds: int) -> dict[str, Any]:
        changes = {
            "Timeout": {"AttemptDurationSeconds": seconds},
            "ResourceRetentionPolicy": {"SkipDeregisterOnUpdate": skip},
        }
        return {**JOB_DEFINITION, "Properties": {**JOB_DEFINITION["Properties"], **changes}}

    stack = Stack(aws, Job=definition(60))
    old = stack.physical["Job"]

    assert stack.update(Job=definition(70)) == "UPDATE_COMPLETE"

    new = stack.physical["Job"]
    described = aws.client("batch").describe_job_definitions(jobDefinitions=[old, new])
    assert (old.rpartition(":")[0], new.rpartition(":")[0]) == (old[:-2], old[:-2])
    assert {d["revision"]: d["status"] for d in described["jobDefinitions"]} == {
        1: status,
        2: "ACTIVE",
    }


@pytest.mark.usefixtures("operations")
def test_a_type_that_cannot_be_changed_here_fails_the_update_by_name(aws: Aws):
    tags = [{"Key": "a", "Value": "b"}]
    properties = {"CidrBlock": "10.0.0.0/16"}
    stack = Stack(aws, Vpc={"Type": "AWS::EC2::VPC", "Properties": properties})

    status = stack.update(Vpc={"Type": "AWS::EC2::VPC", "Properties": {**properties, "Tags": tags}})

    assert status == "UPDATE_ROLLBACK_FAILED"
    assert "cannot change a AWS::EC2::VPC in place: Tags" in stack.reasons()


def test_an_execution_keeps_the_definition_that_it_began_with(services: Services, aws: Aws):
    def machine(kind: str) -> dict[str, Any]:
        definition = {"StartAt": "Only", "States": {"Only": {"Type": kind}}}
        properties = {
            "StateMachineName": name,
            "RoleArn": ROLE,
            "DefinitionString": json.dumps(definition),
        }
        return {"Type": "AWS::StepFunctions::StateMachine", "Properties": properties}

    name = new_name()
    patches = (redrive, stack_operations, state_machine_creation, template_resources)
    with applied(services, *patches):
        stack = Stack(aws, Machine=machine("Fail"))
        arn = stack.physical["Machine"]
        failed = aws.execute(arn)

        assert stack.update(Machine=machine("Succeed")) == "UPDATE_COMPLETE"

        assert stack.physical["Machine"] == arn
        assert aws.execute(arn)["status"] == "SUCCEEDED"
        aws.client("stepfunctions").redrive_execution(executionArn=failed["executionArn"])
        assert aws.ended(failed["executionArn"])["status"] == "FAILED"
