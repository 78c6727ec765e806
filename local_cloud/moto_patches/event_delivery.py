"""Deliver events of EventBridge rules to Lambda functions, state machines and topics.

AWS: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-targets.html; input transformers:
https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html

Moto 5.2.5 raises NotImplementedError for these targets, and swallows it for events from S3. It also
ignores whether a rule is enabled.
"""

from __future__ import annotations

import copy
import datetime as dt
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import Any

from botocore.exceptions import ClientError
from jsonpath_ng.ext.parser import parse as parse_path
from moto.events.models import Rule

from local_cloud.moto_patches.patching import Patcher
from local_cloud.services import Services, run_in_background

NAME = "event_delivery"

_MAX_DELAY_SECONDS = 600.0
_PLACEHOLDER = re.compile(r"<([^<>]+)>")

Event = dict[str, Any]
Target = Mapping[str, Any]


def apply(patcher: Patcher, services: Services) -> None:
    """Deliver to the targets that moto does not support."""

    def send_to_targets(rule: Any, event: Event, transform_input: bool = True) -> None:
        if rule.state != "ENABLED" or not rule.event_pattern.matches_event(event):
            return
        completed = complete_event(event)
        for target in list(rule.targets):
            deliver = _DELIVERIES.get(target["Arn"].split(":")[2])
            if deliver is not None:
                _start_delivery(services, rule, target, deliver, completed)
        _deliver_by_moto(original, rule, event, transform_input)

    original = patcher.replace(Rule, "send_to_targets", send_to_targets)


def complete_event(event: Event) -> Event:
    """Return an event as AWS sends it: with its own id, and its time in ISO 8601."""
    completed = copy.deepcopy(event)
    if completed.get("id") in {None, "", _MOTO_EVENT_ID}:
        completed["id"] = str(uuid.uuid4())
    completed["time"] = _format_time(completed.get("time"))
    completed.pop("ingestion-time", None)
    return completed


def build_input(target: Target, event: Event) -> str:
    """Return the input of a target: the event, a part of it, a constant, or a filled template."""
    if "Input" in target:
        return str(target["Input"])
    if "InputPath" in target:
        return json.dumps(_get_at_path(target["InputPath"], event))
    if transformer := target.get("InputTransformer"):
        return _fill_template(
            transformer["InputTemplate"], transformer.get("InputPathsMap", {}), event
        )
    return json.dumps(event)


# moto.events.utils._BASE_EVENT_MESSAGE has this id for every event from S3
_MOTO_EVENT_ID = "17793124-05d4-b198-2fde-7ededc63b103"


def _fill_template(template: str, paths: Mapping[str, str], event: Event) -> str:
    """Replace the placeholders of a template.

    Inside a quoted string, a value is inserted as text; elsewhere, it is inserted as JSON. A
    variable whose path matches nothing is undefined and leaves a gap. AWS does not document the
    result for null; here it leaves a gap, too.
    """
    matched = {name: _get_at_path(path, event) for name, path in paths.items()}
    values = {name: value for name, value in matched.items() if value is not None} | {
        "aws.events.event.json": event,
        "aws.events.event": {k: v for k, v in event.items() if k != "detail"},
        "aws.events.event.ingestion-time": event["time"],
    }

    def replacement(match: re.Match[str]) -> str:
        if (value := values.get(match[1])) is None:
            return ""
        quoted = len(re.findall(r'(?<!\\)"', template[: match.start()])) % 2 == 1
        text = value if isinstance(value, str) else json.dumps(value)
        if quoted:
            return json.dumps(text)[1:-1]
        return json.dumps(value)

    return _PLACEHOLDER.sub(replacement, template)


def _get_at_path(path: str, event: Event) -> Any:
    matches = parse_path(path).find(event)
    return matches[0].value if matches else None


def _format_time(time: Any) -> str:
    if isinstance(time, str) and "T" in time:
        return time
    seconds = float(time) if time else dt.datetime.now(dt.UTC).timestamp()
    moment = dt.datetime.fromtimestamp(seconds, dt.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _start_delivery(
    services: Services, rule: Any, target: Target, deliver: Delivery, event: Event
) -> None:
    message = build_input(target, event)

    def attempt() -> None:
        try:
            for delay in retry_delays(target):
                try:
                    deliver(services, rule, target, message)
                except ClientError as error:
                    if not is_retryable(error):
                        raise
                    services.clock.sleep(delay)
                else:
                    return
            deliver(services, rule, target, message)
        except Exception as error:
            if not (queue := target.get("DeadLetterConfig", {}).get("Arn")):
                raise
            _send_dead_letter(services, rule, target, queue, message, error)

    run_in_background(f"{rule.name} → {target['Arn']}", attempt)


def retry_delays(target: Target) -> Iterator[float]:
    """Yield AWS's delays between attempts in s, up to the maximum number of attempts or event age.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
    """
    policy = target.get("RetryPolicy", {})
    age, max_age = 0.0, float(policy.get("MaximumEventAgeInSeconds", 86_400))
    for number in range(int(policy.get("MaximumRetryAttempts", 185))):
        delay = min(2.0**number, _MAX_DELAY_SECONDS)
        if age + delay > max_age:
            return
        yield delay
        age += delay


def is_retryable(error: ClientError) -> bool:
    """Return whether EventBridge retries: not if the target is missing or access is denied."""
    response: Mapping[str, Any] = error.response
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    return status in {HTTPStatus.CONFLICT, HTTPStatus.TOO_MANY_REQUESTS} or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR
    )


def _send_dead_letter(
    services: Services, rule: Any, target: Target, queue: str, message: str, error: Exception
) -> None:
    *_, region, account, name = queue.split(":")
    sqs = services.client("sqs", region)
    url = sqs.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)["QueueUrl"]
    attributes = {
        "RULE_ARN": rule.arn,
        "TARGET_ARN": target["Arn"],
        "ERROR_CODE": type(error).__name__,
        "ERROR_MESSAGE": str(error) or repr(error),
    }
    sqs.send_message(
        QueueUrl=url,
        MessageBody=message,
        MessageAttributes={
            key: {"DataType": "String", "StringValue": value} for key, value in attributes.items()
        },
    )


def _deliver_to_function(services: Services, rule: Any, target: Target, message: str) -> None:
    services.client("lambda", rule.region_name).invoke(
        FunctionName=target["Arn"], InvocationType="Event", Payload=message.encode()
    )


def _deliver_to_state_machine(services: Services, rule: Any, target: Target, message: str) -> None:
    """Start an execution with the target's role, as EventBridge does."""
    client = services.access.client(
        "stepfunctions",
        rule.region_name,
        role=target["RoleArn"],
        principal="events.amazonaws.com",
    )
    client.start_execution(
        stateMachineArn=target["Arn"], name=f"{rule.name[:40]}_{uuid.uuid4()}"[:80], input=message
    )


def _deliver_to_topic(services: Services, rule: Any, target: Target, message: str) -> None:
    services.client("sns", rule.region_name).publish(TopicArn=target["Arn"], Message=message)


Delivery = Callable[[Services, Any, Target, str], None]
_DELIVERIES: Mapping[str, Delivery] = {
    "lambda": _deliver_to_function,
    "states": _deliver_to_state_machine,
    "sns": _deliver_to_topic,
}


def _deliver_by_moto(
    original: Callable[..., None], rule: Any, event: Event, transform_input: bool
) -> None:
    """Let moto deliver to the targets that it supports."""
    targets = [t for t in rule.targets if t["Arn"].split(":")[2] not in _DELIVERIES]
    if not targets:
        return
    limited = copy.copy(rule)
    limited.targets = targets
    original(limited, event, transform_input)
