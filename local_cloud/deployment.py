"""Deploying an assembly, as `cdk deploy` does: publish its assets, then create its stack."""

from __future__ import annotations

import contextlib
from typing import Any, Protocol

from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from local_cloud.assembly import Assembly
from local_cloud.clients import REGION
from local_cloud.errors import LocalCloudError

# What `cdk bootstrap` leaves in an account; templates insist on 6 at least.
_BOOTSTRAP = ("/cdk-bootstrap/hnb659fds/version", "28")


class Clients(Protocol):
    """Whatever makes clients of the local cloud."""

    def client(self, service: str) -> Any:
        """A boto3 client."""


def deploy(assembly: Assembly, cloud: Clients) -> dict[str, str]:
    """Create the assembly's stack from its unmodified template; the stack's outputs.

    Raises:
        LocalCloudError: a resource could not be made; the message names it.
    """
    name, value = _BOOTSTRAP
    cloud.client("ssm").put_parameter(Name=name, Value=value, Type="String", Overwrite=True)
    _publish(assembly, cloud)
    formation = cloud.client("cloudformation")
    try:
        formation.create_stack(
            StackName=assembly.stack,
            TemplateBody=assembly.template,
            Capabilities=["CAPABILITY_NAMED_IAM"],
        )
    except (ClientError, ResponseParserError) as error:
        answer = getattr(error, "response", {}).get("Error", {})
        message = answer.get("Message", "moto failed, see cloud.log")
        raise LocalCloudError(f"the stack {assembly.stack} cannot be made: {message}") from error
    (stack,) = formation.describe_stacks(StackName=assembly.stack)["Stacks"]
    if stack["StackStatus"] != "CREATE_COMPLETE":
        raise LocalCloudError(f"the stack {assembly.stack} is {stack['StackStatus']}")
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", ())}


def _publish(assembly: Assembly, cloud: Clients) -> None:
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
