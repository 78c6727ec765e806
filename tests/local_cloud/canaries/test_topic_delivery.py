from __future__ import annotations

import json
from pathlib import Path

import pytest

from local_cloud.moto_patches import function_invocation, topic_delivery
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, eventually, new_name

HANDLER = """
import json, pathlib

def handle(event, context):
    pathlib.Path("event.new").write_text(json.dumps(event))
    pathlib.Path("event.new").rename("event")
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "image"


@pytest.fixture
def function(aws: Aws, folder: Path) -> str:
    return aws.function(
        aws.image(folder, {"Dockerfile": 'CMD ["app.handle"]\n', "app.py": HANDLER}), Timeout=5
    )


def test_canary_topic_delivery(
    services: Services, aws: Aws, function: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    sns, invoked = aws.client("sns"), []
    topic = sns.create_topic(Name=new_name())["TopicArn"]
    subscription = sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function)
    with monkeypatch.context() as patch:
        patch.setattr(
            "moto.awslambda.models.LambdaFunction.invoke",
            lambda _function, body, *_rest: invoked.append(json.loads(body)),
        )
        sns.publish(TopicArn=topic, Message="hello")
    assert invoked[0]["Records"][0]["Sns"]["TopicArn"] == "arn:aws:sns:EXAMPLE"

    attributes = {"kind": {"DataType": "String", "StringValue": "greeting"}}
    with applied(services, function_invocation, topic_delivery):
        sent = sns.publish(
            TopicArn=topic, Message="hello", Subject="news", MessageAttributes=attributes
        )
        eventually((folder / "event").exists, "the function's call")

    (record,) = json.loads((folder / "event").read_text())["Records"]
    assert record["EventSource"] == "aws:sns"
    assert record["EventSubscriptionArn"] == subscription["SubscriptionArn"]
    message = record["Sns"]
    assert (message["Message"], message["Subject"]) == ("hello", "news")
    assert (message["TopicArn"], message["MessageId"]) == (topic, sent["MessageId"])
    assert message["MessageAttributes"] == {"kind": {"Type": "String", "Value": "greeting"}}


def test_queues_are_still_delivered_to_and_filters_hold(
    services: Services, aws: Aws, function: str, folder: Path
):
    sns, queue = aws.client("sns"), aws.queue()
    topic = sns.create_topic(Name=new_name())["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=aws.queue_arn(queue))
    policy = {"FilterPolicy": json.dumps({"kind": ["other"]})}
    sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=function, Attributes=policy)

    kinds = [{"kind": {"DataType": "String", "StringValue": k}} for k in ("greeting", "other")]
    with applied(services, function_invocation, topic_delivery):
        for kind in kinds:
            sns.publish(TopicArn=topic, Message="hello", MessageAttributes=kind)
        eventually((folder / "event").exists, "the function's call")

    assert len(aws.messages(queue)) == 2
    (record,) = json.loads((folder / "event").read_text())["Records"]
    assert record["Sns"]["MessageAttributes"]["kind"]["Value"] == "other"
