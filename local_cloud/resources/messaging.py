"""Create policies of queues and topics, and subscriptions."""

from __future__ import annotations

import json

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
