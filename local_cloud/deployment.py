"""Deploy an assembly as `cdk deploy` does, and delete its stack as `cdk destroy` does."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any, Protocol

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from local_cloud.assembly import Assembly
from local_cloud.clients import REGION
from local_cloud.errors import LocalCloudError

# Version parameter of `cdk bootstrap`; templates require at least 6.
_BOOTSTRAP_PARAMETER = ("/cdk-bootstrap/hnb659fds/version", "28")


class ClientFactory(Protocol):
    """Factory of the local cloud's clients."""

    def client(self, service: str) -> Any:
        """Return a boto3 client of a service."""


def deploy(assembly: Assembly, cloud: ClientFactory) -> dict[str, str]:
    """Create or update the assembly's stack from its unmodified template, and return its outputs.

    Raises:
        LocalCloudError: A resource could not be created or changed, and the stack was rolled back;
            the message names the resource.
    """
    name, value = _BOOTSTRAP_PARAMETER
    cloud.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    _publish_assets(assembly, cloud)
    cloudformation = cloud.client("cloudformation")
    stack = {"StackName": assembly.stack}
    if _stack_status(cloudformation, assembly.stack) == "ROLLBACK_COMPLETE":
        cloudformation.delete_stack(**stack)  # as the CDK does: such a stack cannot be updated
    exists = _stack_status(cloudformation, assembly.stack) != ""
    operation = cloudformation.update_stack if exists else cloudformation.create_stack
    first_event = len(_stack_events(cloudformation, assembly.stack)) if exists else 0
    _run_operation(
        assembly.stack,
        lambda: operation(
            **stack, TemplateBody=assembly.template, Capabilities=["CAPABILITY_NAMED_IAM"]
        ),
    )
    status = _stack_status(cloudformation, assembly.stack)
    if status not in {"CREATE_COMPLETE", "UPDATE_COMPLETE"}:
        raise LocalCloudError(
            _describe_failure(cloudformation, assembly.stack, status, first_event)
        )
    cloudformation.update_termination_protection(
        **stack, EnableTerminationProtection=assembly.is_protected
    )
    (described,) = cloudformation.describe_stacks(**stack)["Stacks"]
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", ())}


def destroy(stack: str, cloud: ClientFactory) -> None:
    """Delete a stack, as `cdk destroy` does.

    Raises:
        LocalCloudError: The stack is protected, or a resource could not be deleted; the message
            names the resource.
    """
    cloudformation = cloud.client("cloudformation")
    first_event = len(_stack_events(cloudformation, stack))
    _run_operation(stack, lambda: cloudformation.delete_stack(StackName=stack))
    if status := _stack_status(cloudformation, stack):
        raise LocalCloudError(_describe_failure(cloudformation, stack, status, first_event))


def _run_operation(stack: str, operation: Callable[[], object]) -> None:
    try:
        operation()
    except (ClientError, ResponseParserError) as error:
        details = getattr(error, "response", {}).get("Error", {})
        message = details.get("Message", "moto failed, see cloud.log")
        if message != "No updates are to be performed.":
            raise LocalCloudError(f"the stack {stack} cannot be changed: {message}") from error


def _stack_status(cloudformation: Any, stack: str) -> str:
    """Return a stack's status; empty if there is no such stack."""
    pages = cloudformation.get_paginator("describe_stacks").paginate()
    stacks = [s for page in pages for s in page["Stacks"] if s["StackName"] == stack]
    return next((s["StackStatus"] for s in stacks if s["StackStatus"] != "DELETE_COMPLETE"), "")


def _stack_events(cloudformation: Any, stack: str) -> list[dict[str, Any]]:
    """Return the events of a stack and its resources, oldest first."""
    pages = cloudformation.get_paginator("describe_stack_events").paginate(StackName=stack)
    return [event for page in pages for event in page["StackEvents"]][::-1]


def _describe_failure(cloudformation: Any, stack: str, status: str, first_event: int) -> str:
    reasons = [
        f"{event['LogicalResourceId']}: {event['ResourceStatusReason']}"
        for event in _stack_events(cloudformation, stack)[first_event:]
        if event["ResourceStatus"].endswith("_FAILED") and event.get("ResourceStatusReason")
    ]
    return "\n".join([f"the stack {stack} is {status}", *reasons])


def _publish_assets(assembly: Assembly, cloud: ClientFactory) -> None:
    s3, ecr = cloud.client("s3"), cloud.client("ecr")
    location = {"LocationConstraint": REGION}
    for bucket, key, content in assembly.files():
        with contextlib.suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=location)
        s3.put_object(Bucket=bucket, Key=key, Body=content)
    for repository, tag, image in assembly.images():
        with contextlib.suppress(ecr.exceptions.RepositoryAlreadyExistsException):
            ecr.create_repository(repositoryName=repository)
        with contextlib.suppress(ecr.exceptions.ImageAlreadyExistsException):
            ecr.put_image(
                repositoryName=repository, imageTag=tag, imageManifest=image.to_manifest()
            )
