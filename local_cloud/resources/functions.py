"""Versions of functions, and what becomes of the events that they fail on."""

from __future__ import annotations

from typing import Any

from moto.awslambda.utils import get_backend

from local_cloud.resources.making import Made, Request


def make_version(request: Request) -> Made:
    """Publish a version. Moto can, but what refers to it gets an object in place of its ARN."""
    version: Any = get_backend(request.account, request.region).publish_version(
        request.properties["FunctionName"]
    )
    return Made(version.function_arn, {"Version": str(version.version)})


def make_permission(request: Request) -> Made:
    """Let a service invoke a function; moto gives the statement no id to remove it by."""
    names = ("Action", "Principal", "SourceAccount", "SourceArn")
    request.client("lambda").add_permission(
        FunctionName=request.properties["FunctionName"],
        StatementId=request.name,
        **{name: request.properties[name] for name in names if name in request.properties},
    )
    return Made(request.name)


def make_event_invoke_config(request: Request) -> Made:
    """Say how often a function tries an event again, and where it goes after that."""
    names = ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
    request.client("lambda").put_function_event_invoke_config(
        FunctionName=request.properties["FunctionName"],
        **{name: request.properties[name] for name in names if name in request.properties},
    )
    return Made(request.name)
