from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import event_delivery, function_invocation
from local_cloud.moto_patches.event_delivery import build_input, complete_event
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import REFUSALS, ROLE, Aws, applied, eventually, new_name

EVENT: dict[str, Any] = {
    "version": "0",
    "id": "one",
    "detail-type": "Something",
    "source": "test",
    "account": "123456789012",
    "time": "2026-01-02T03:04:05Z",
    "region": "eu-west-1",
    "resources": [],
    "detail": {"name": "a", "count": 3, "cause": 'it said "no"', "of": {"x": 1}},
}


def test_canary_event_delivery(services: Services, aws: Aws):
    source, queue = new_name(), aws.queue()
    topic = aws.client("sns").create_topic(Name=new_name())["TopicArn"]
    aws.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=aws.queue_arn(queue))
    rule = aws.rule({"source": [source]}, {"Arn": topic})
    entry = {"Source": source, "DetailType": "Something", "Detail": json.dumps({"x": 1})}

    with pytest.raises(REFUSALS):
        aws.client("events").put_events(Entries=[entry])
    with applied(services, event_delivery):
        aws.client("events").put_events(Entries=[entry])
        (message,) = eventually(lambda: aws.messages(queue), "the event")
    aws.drop_rule(rule)

    event = json.loads(message["Message"])
    assert event["detail"] == {"x": 1}
    assert event["time"].endswith("Z")
    assert event.keys() == EVENT.keys()


def test_a_state_machine_is_started_with_the_transformed_event(services: Services, aws: Aws):
    source = new_name()
    machine = aws.machine(("Only", {"Type": "Pass"}))
    target = {
        "Arn": machine,
        "RoleArn": ROLE,
        "InputTransformer": {
            "InputPathsMap": {"x": "$.detail.x"},
            "InputTemplate": '{"x": <x>, "text": "x is <x>"}',
        },
    }
    rule = aws.rule({"source": [source]}, target)
    entry = {"Source": source, "DetailType": "Something", "Detail": json.dumps({"x": 5})}
    listing = aws.client("stepfunctions").list_executions

    with applied(services, event_delivery):
        aws.client("events").put_events(Entries=[entry])
        (started,) = eventually(
            lambda: listing(stateMachineArn=machine)["executions"], "the execution"
        )
        ended = aws.ended(started["executionArn"])
    aws.drop_rule(rule)

    assert json.loads(ended["input"]) == {"x": 5, "text": "x is 5"}


def test_an_undeliverable_event_goes_to_the_targets_dead_letter_queue(services: Services, aws: Aws):
    source, queue = new_name(), aws.queue()
    missing = "arn:aws:lambda:eu-west-1:123456789012:function:missing"
    target = {"Arn": missing, "DeadLetterConfig": {"Arn": aws.queue_arn(queue)}}
    rule = aws.rule({"source": [source]}, target)

    with applied(services, event_delivery, function_invocation):
        aws.client("events").put_events(
            Entries=[{"Source": source, "DetailType": "Something", "Detail": "{}"}]
        )
        (letter,) = eventually(lambda: aws.messages(queue), "the dead letter")
    aws.drop_rule(rule)

    assert letter["source"] == source


def test_a_disabled_rule_delivers_nothing(services: Services, aws: Aws):
    source, queue = new_name(), aws.queue()
    rule = aws.rule({"source": [source]}, {"Arn": aws.queue_arn(queue)})
    aws.client("events").disable_rule(Name=rule)

    with applied(services, event_delivery):
        aws.client("events").put_events(
            Entries=[{"Source": source, "DetailType": "Something", "Detail": "{}"}]
        )
        assert aws.messages(queue) == []
    aws.drop_rule(rule)


@pytest.mark.parametrize(
    ("target", "sent"),
    [
        ({}, EVENT),
        ({"Input": '{"a": 1}'}, {"a": 1}),
        ({"InputPath": "$.detail.of"}, {"x": 1}),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {
                        "name": "$.detail.name",
                        "count": "$.detail.count",
                        "cause": "$.detail.cause",
                        "of": "$.detail.of",
                        "gone": "$.detail.gone",
                    },
                    "InputTemplate": '{"n": <name>, "c": <count>, "t": "<name>: <cause>",'
                    ' "o": <of>, "g": "<gone>"}',
                }
            },
            {"n": "a", "c": 3, "t": 'a: it said "no"', "o": {"x": 1}, "g": ""},
        ),
        ({"InputTransformer": {"InputTemplate": '"whole: <aws.events.event.json>"'}}, None),
    ],
)
def test_targets_get_the_input_that_they_configure(target: dict[str, Any], sent: Any):
    message = json.loads(build_input(target, EVENT))

    assert message == sent if sent else message == f"whole: {json.dumps(EVENT)}"


@pytest.mark.parametrize("path", ["$.detail.gone", "$.detail.nothing"])
def test_a_variable_that_stands_for_nothing_leaves_a_gap(path: str):
    event = EVENT | {"detail": {"nothing": None}}
    transformer = {"InputPathsMap": {"x": path}, "InputTemplate": '{"x": <x>, "y": "<x>"}'}

    assert build_input({"InputTransformer": transformer}, event) == '{"x": , "y": ""}'


def test_an_event_gets_an_identity_and_a_time_that_can_be_read():
    first, second = (complete_event({"time": 1767323045.2, "id": "", "source": "x"}) for _ in "12")

    assert first["time"] == "2026-01-02T03:04:05Z"
    assert first["id"] != second["id"]


@pytest.mark.parametrize(
    ("policy", "attempts", "seconds"),
    [
        # https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rule-retry-policy.html
        ({}, 185, 86_400),
        ({"MaximumRetryAttempts": 4}, 4, 15),
        ({"MaximumRetryAttempts": 0}, 0, 0),
        ({"MaximumEventAgeInSeconds": 60}, 5, 31),
    ],
)
def test_a_delivery_is_tried_again_until_it_was_often_enough_or_the_event_is_too_old(
    policy: dict[str, int], attempts: int, seconds: float
):
    retry_delays = list(event_delivery.retry_delays({"RetryPolicy": policy} if policy else {}))

    assert len(retry_delays) <= attempts
    assert sum(retry_delays) <= seconds
    assert sum(retry_delays) > 0.9 * seconds or len(retry_delays) == attempts


@pytest.mark.parametrize(
    ("status", "later"),
    [(409, True), (429, True), (500, True), (502, True), (403, False), (404, False)],
)
def test_a_target_that_is_gone_or_not_ours_is_not_tried_again(status: int, later: bool):
    response: Any = {"Error": {}, "ResponseMetadata": {"HTTPStatusCode": status}}

    assert event_delivery.is_retryable(ClientError(response, "Invoke")) is later
