"""Policies and subscriptions of queues and topics, and what becomes of failed events."""

from __future__ import annotations

import json

from moto.awslambda.utils import get_backend

from local_cloud.resources.making import Made, Request


def make_queue_policy(request: Request) -> Made:
    """Set the policy of queues."""
    policy = json.dumps(request.properties["PolicyDocument"])
    for url in request.properties["Queues"]:
        request.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return Made(request.name)


def make_topic_policy(request: Request) -> Made:
    """Set the policy of topics."""
    policy = json.dumps(request.properties["PolicyDocument"])
    for arn in request.properties["Topics"]:
        request.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=policy
        )
    return Made(request.name)


def make_subscription(request: Request) -> Made:
    """Subscribe to a topic."""
    properties = request.properties
    answer = request.client("sns").subscribe(
        TopicArn=properties["TopicArn"],
        Protocol=properties["Protocol"],
        Endpoint=properties["Endpoint"],
        ReturnSubscriptionArn=True,
    )
    return Made(answer["SubscriptionArn"])


def make_event_invoke_config(request: Request) -> Made:
    """Say how often a function tries an event again, and where it goes after that."""
    properties = request.properties
    function = get_backend(request.account, request.region).get_function(properties["FunctionName"])
    kept = {
        name: properties[name]
        for name in ("MaximumRetryAttempts", "MaximumEventAgeInSeconds", "DestinationConfig")
        if name in properties
    }
    function.event_invoke_config = [{"FunctionArn": function.function_arn, **kept}]
    return Made(request.name)
