"""Create versions of functions, permissions, and the retry settings of their events."""

from __future__ import annotations

from typing import Any

from moto.awslambda.utils import get_backend

from local_cloud.resources.model import CreatedResource, ResourceRequest


def create_version(request: ResourceRequest) -> CreatedResource:
    """Publish a version; moto's own reference to it is an object instead of its ARN."""
    version: Any = get_backend(request.account, request.region).publish_version(
        request.properties["FunctionName"]
    )
    return CreatedResource(version.function_arn, {"Version": str(version.version)})


def create_permission(request: ResourceRequest) -> CreatedResource:
    """Allow a service to invoke a function; moto's own statement has no id for its removal."""
    names = ("Action", "Principal", "SourceAccount", "SourceArn")
    request.client("lambda").add_permission(
        FunctionName=request.properties["FunctionName"],
        StatementId=request.name,
        **{name: request.properties[name] for name in names if name in request.properties},
    )
    return CreatedResource(request.name)


def create_event_invoke_config(request: ResourceRequest) -> CreatedResource:
    """Set how often a function retries an event, and the destination of failed events."""
    names = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
    request.client("lambda").put_function_event_invoke_config(
        FunctionName=request.properties["FunctionName"],
        **{name: request.properties[name] for name in names if name in request.properties},
    )
    return CreatedResource(request.name)
