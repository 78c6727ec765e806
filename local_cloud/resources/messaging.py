"""Create policies of queues and topics, and subscriptions."""

from __future__ import annotations

import json

from local_cloud.resources.model import CreatedResource, ResourceRequest


def create_queue_policy(request: ResourceRequest) -> CreatedResource:
    """Set the policy of queues."""
    policy = json.dumps(request.properties["PolicyDocument"])
    for url in request.properties["Queues"]:
        request.client("sqs").set_queue_attributes(QueueUrl=url, Attributes={"Policy": policy})
    return CreatedResource(request.name)


def create_topic_policy(request: ResourceRequest) -> CreatedResource:
    """Set the policy of topics."""
    policy = json.dumps(request.properties["PolicyDocument"])
    for arn in request.properties["Topics"]:
        request.client("sns").set_topic_attributes(
            TopicArn=arn, AttributeName="Policy", AttributeValue=policy
        )
    return CreatedResource(request.name)


def create_subscription(request: ResourceRequest) -> CreatedResource:
    """Subscribe to a topic."""
    properties = request.properties
    response = request.client("sns").subscribe(
        TopicArn=properties["TopicArn"],
        Protocol=properties["Protocol"],
        Endpoint=properties["Endpoint"],
        ReturnSubscriptionArn=True,
    )
    return CreatedResource(response["SubscriptionArn"])
