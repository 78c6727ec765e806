"""Invoke the functions that are subscribed to a topic.

AWS: https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html

Moto 5.2.5 runs them in Docker, within the call that publishes, and its event does not name the
topic.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

from moto.sns.models import Subscription

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services, run_in_background

NAME = "topic_delivery"


def apply(patcher: Patcher, services: Services) -> None:
    """Deliver to functions as asynchronous events; moto delivers to all other subscribers."""

    def publish(
        subscription: Any,
        message: str,
        message_id: str,
        subject: str | None = None,
        message_attributes: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if subscription.protocol != "lambda":
            original(subscription, message, message_id, subject, message_attributes, **options)
            return
        matcher = subscription._filter_policy_matcher
        if matcher is not None and not matcher.matches(message_attributes, message):
            return
        event = build_event(subscription, message, message_id, subject, message_attributes)
        _invoke_function(services, subscription, json.dumps(event).encode())

    original = patcher.replace(Subscription, "publish", publish)


def build_event(
    subscription: Any,
    message: str,
    message_id: str,
    subject: str | None,
    attributes: dict[str, Any] | None,
) -> dict[str, Any]:
    """Return the event of one message, as a function receives it, without a signature."""
    now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    notification = {
        "Type": "Notification",
        "MessageId": message_id,
        "TopicArn": subscription.topic_arn,
        "Subject": subject,
        "Message": message,
        "Timestamp": now,
        "SignatureVersion": "1",
        "Signature": "",
        "SigningCertUrl": "",
        "UnsubscribeUrl": "",
        "MessageAttributes": attributes or {},
    }
    record = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription.arn,
        "Sns": notification,
    }
    return {"Records": [record]}


def _invoke_function(services: Services, subscription: Any, payload: bytes) -> None:
    arn = subscription.endpoint
    client = services.client("lambda", arn.split(":")[3])
    run_in_background(
        f"{subscription.topic_arn} → {arn}",
        lambda: client.invoke(FunctionName=arn, InvocationType="Event", Payload=payload),
    )
