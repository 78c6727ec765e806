"""Tests of AWS's services that act without a role of the stack: resource policies allow it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any


def resolved(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def targets(stack: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The logical id of each rule, with each of its targets."""
    for name, rule in stack.resources("AWS::Events::Rule").items():
        yield from ((name, target) for target in rule.get("Targets", ()))


def invokers(stack: Any, principal: str) -> set[tuple[str, str]]:
    """Function and source that a principal may invoke it for."""
    return {
        (resolved(p["FunctionName"]), resolved(p["SourceArn"]))
        for p in stack.resources("AWS::Lambda::Permission").values()
        if p["Principal"] == principal and p["Action"] == "lambda:InvokeFunction"
    }


def statements(stack: Any, kind: str) -> list[dict[str, Any]]:
    policies = stack.resources(kind).values()
    return [s for policy in policies for s in policy["PolicyDocument"]["Statement"]]


def allows(stack: Any, kind: str, action: str, principal: str, resource: Any, source: Any) -> bool:
    """Return True if a policy lets a service use a resource, for everybody or for this source."""
    for statement in statements(stack, kind):
        condition = statement.get("Condition", {}).get("ArnEquals", {}).get("aws:SourceArn", source)
        if (
            statement["Effect"] == "Allow"
            and action in _listed(statement["Action"])
            and statement["Principal"] == {"Service": principal}
            and statement["Resource"] == resource
            and condition == source
        ):
            return True
    return False


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def test_eventbridge_may_call_each_target(everything: Any):
    events = "events.amazonaws.com"
    functions = {
        resolved({"Fn::GetAtt": [n, "Arn"]}) for n in everything.resources("AWS::Lambda::Function")
    }
    topics = {resolved({"Ref": n}) for n in everything.resources("AWS::SNS::Topic")}
    queues = {resolved({"Fn::GetAtt": [n, "Arn"]}) for n in everything.resources("AWS::SQS::Queue")}
    kind, send = "AWS::SQS::QueuePolicy", "sqs:SendMessage"
    seen = 0
    for name, target in targets(everything):
        rule, arn = {"Fn::GetAtt": [name, "Arn"]}, target["Arn"]
        if resolved(arn) in functions:
            assert (resolved(arn), resolved(rule)) in invokers(everything, events), name
        elif resolved(arn) in topics:
            assert allows(everything, "AWS::SNS::TopicPolicy", "sns:Publish", events, arn, rule), (
                name
            )
        elif resolved(arn) in queues:
            assert allows(everything, kind, send, events, arn, rule), name
        else:
            assert "RoleArn" in target, name
        if letters := target.get("DeadLetterConfig"):
            assert allows(everything, kind, send, events, letters["Arn"], rule), name
        seen += 1
    assert seen >= 3


def test_topics_may_invoke_their_functions_and_set_messages_aside(everything: Any):
    sns = "sns.amazonaws.com"
    subscriptions = [
        s
        for s in everything.resources("AWS::SNS::Subscription").values()
        if s["Protocol"] == "lambda"
    ]
    for subscription in subscriptions:
        topic = subscription["TopicArn"]
        pair = (resolved(subscription["Endpoint"]), resolved(topic))
        queue = json.loads(resolved(subscription["RedrivePolicy"]["deadLetterTargetArn"]))
        assert pair in invokers(everything, sns)
        assert allows(everything, "AWS::SQS::QueuePolicy", "sqs:SendMessage", sns, queue, topic)
    assert len(subscriptions) == 2


def test_alarms_may_publish_to_the_topic_that_they_name(everything: Any):
    """CloudWatch publishes as a service; scaling policies are called by it without one."""
    topics = {resolved({"Ref": n}) for n in everything.resources("AWS::SNS::Topic")}
    actions = {
        resolved(action)
        for alarm in everything.resources("AWS::CloudWatch::Alarm").values()
        for action in alarm.get("AlarmActions", ())
    }
    allowed = {
        resolved(s["Resource"])
        for s in statements(everything, "AWS::SNS::TopicPolicy")
        if s["Effect"] == "Allow" and s["Principal"] == {"Service": "cloudwatch.amazonaws.com"}
    }

    assert actions & topics
    assert actions & topics <= allowed


def test_no_resource_policy_denies_more_than_plain_http(everything: Any):
    kinds = ("AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy")
    denials = [s for kind in kinds for s in statements(everything, kind) if s["Effect"] == "Deny"]

    plain = {"Bool": {"aws:SecureTransport": "false"}}
    assert denials
    assert all(denial["Condition"] == plain for denial in denials)


def test_each_container_is_told_its_region(everything: Any):
    region = {"Ref": "AWS::Region"}
    job = everything.one("AWS::Batch::JobDefinition")["ContainerProperties"]["Environment"]
    told = [{e["Name"]: e["Value"] for e in job}]
    models = everything.resources("AWS::SageMaker::Model").values()
    told += [model["PrimaryContainer"]["Environment"] for model in models]

    assert len(told) == 4
    for variables in told:
        assert variables["AWS_REGION"] == variables["AWS_DEFAULT_REGION"] == region
