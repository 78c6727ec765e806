"""Small things made on a moto server, for the canaries."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from local_cloud.clients import ACCOUNT, REGION
from local_cloud.images import StagedImage
from local_cloud.moto_patches.patching import patched
from local_cloud.services import Services

# Where moto breaks, its answer is a page that boto3 cannot read.
REFUSALS = (ClientError, ResponseParserError)
ROLE = f"arn:aws:iam::{ACCOUNT}:role/any"
SERVICES = tuple(
    f"{service}.amazonaws.com"
    for service in ("ecs-tasks", "events", "lambda", "sagemaker", "states")
)


def applied(services: Services, *patches: Any) -> AbstractContextManager[None]:
    """Moto with some of the patches, for as long as the block lasts."""
    return patched(*(partial(patch.apply, services=services) for patch in patches))


@dataclass(frozen=True)
class Aws:
    """Small things made on the server, each under a name of its own."""

    services: Services

    def client(self, service: str) -> Any:
        return self.services.client(service)

    def queue(self) -> str:
        return self.client("sqs").create_queue(QueueName=new_name())["QueueUrl"]

    def queue_arn(self, url: str) -> str:
        found = self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        return found["Attributes"]["QueueArn"]

    def messages(self, url: str) -> list[Any]:
        """The bodies on a queue."""
        received = self.client("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10)
        return [json.loads(message["Body"]) for message in received.get("Messages", ())]

    def rule(self, pattern: Any, target: dict[str, Any]) -> str:
        """A rule on the default bus with one target."""
        events, name = self.client("events"), new_name()
        events.put_rule(Name=name, EventPattern=json.dumps(pattern))
        events.put_targets(Rule=name, Targets=[{"Id": "1", **target}])
        return name

    def drop_rule(self, name: str) -> None:
        self.client("events").remove_targets(Rule=name, Ids=["1"])
        self.client("events").delete_rule(Name=name)

    def machine(self, *states: tuple[str, dict[str, Any]]) -> str:
        """A state machine of states in a row."""
        names = [name for name, _ in states]
        following = [{"Next": name} for name in names[1:]] + [{"End": True}]
        definition = {
            "StartAt": names[0],
            "States": {name: s | n for (name, s), n in zip(states, following, strict=True)},
        }
        return self.client("stepfunctions").create_state_machine(
            name=new_name(), definition=json.dumps(definition), roleArn=ROLE
        )["stateMachineArn"]

    def execute(self, machine: str, given: Any = None) -> dict[str, Any]:
        """Run a state machine to its end."""
        started = self.client("stepfunctions").start_execution(
            stateMachineArn=machine, name=new_name(), input=json.dumps(given or {})
        )
        return self.ended(started["executionArn"])

    def ended(self, execution: str) -> dict[str, Any]:
        describe = self.client("stepfunctions").describe_execution

        def over() -> Any:
            found = describe(executionArn=execution)
            return found if found["status"] != "RUNNING" else None

        return eventually(over, "the execution's end")

    def stack(self, **resources: Any) -> dict[str, str]:
        """A stack of some resources; the physical name of each."""
        name = new_name()
        formation = self.client("cloudformation")
        formation.create_stack(StackName=name, TemplateBody=json.dumps({"Resources": resources}))
        found = formation.list_stack_resources(StackName=name)["StackResourceSummaries"]
        return {r["LogicalResourceId"]: r["PhysicalResourceId"] for r in found}

    def image(self, folder: Path, files: dict[str, str]) -> str:
        """A staged image with these files; its URI."""
        for path, text in files.items():
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        repository, ecr = new_name(), self.client("ecr")
        made = ecr.create_repository(repositoryName=repository)["repository"]
        image = StagedImage(folder=folder, dockerfile="Dockerfile", arguments={})
        ecr.put_image(repositoryName=repository, imageTag="1", imageManifest=image.to_manifest())
        return f"{made['repositoryUri']}:1"

    def function(self, image: str, **settings: Any) -> str:
        """A function; its ARN."""
        return self.client("lambda").create_function(
            FunctionName=new_name(),
            Role=ROLE,
            PackageType="Image",
            Code={"ImageUri": image},
            **settings,
        )["FunctionArn"]

    def bucket(self) -> str:
        name = new_name()
        self.client("s3").create_bucket(
            Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        return name


def create_role(iam: Any, name: str, *statements: Any, services: tuple[str, ...] = SERVICES) -> str:
    """A role that services may assume, by default with all rights; its ARN."""
    trust = {"Action": "sts:AssumeRole", "Effect": "Allow", "Principal": {"Service": services}}
    policy = statements or ({"Effect": "Allow", "Action": "*", "Resource": "*"},)
    arn = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="policy", PolicyDocument=document(*policy))
    return str(arn)


def document(*statements: Any) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": statements})


def new_name() -> str:
    return f"c-{uuid.uuid4().hex[:20]}"


def eventually(condition: Callable[[], Any], what: str, seconds: float = 30) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if result := condition():
            return result
        time.sleep(0.02)
    pytest.fail(f"waited {seconds:.0f} s for {what}")
