"""watch_deliveries on moto's S3 and SNS: an incomplete delivery becomes a message."""

import json
from datetime import UTC, datetime, timedelta

import boto3
import pytest
from moto import mock_aws

from lambdas.watch_deliveries import handler as module
from swath import storage
from swath.models.catalog import load_catalog
from swath.pipeline.deliveries.start import DeliveryStarter
from swath.pipeline.start import Drop
from swath.settings import WatchDeliveriesSettings


@pytest.fixture
def messages(set_env):
    """A delivery of one file is there; the function returns what the topic has published."""
    module.configuration.cache_clear()
    storage.s3.cache_clear()
    with mock_aws():
        for bucket in ("assets", "work", "scenes"):
            boto3.client("s3").create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
            )
        storage.write_json("s3://assets/catalog.json", {})
        topic = boto3.client("sns").create_topic(Name="failures")["TopicArn"]
        sqs = boto3.client("sqs")
        queue = sqs.create_queue(QueueName="failures")["QueueUrl"]
        arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        boto3.client("sns").subscribe(
            TopicArn=topic, Protocol="sqs", Endpoint=arn["Attributes"]["QueueArn"]
        )
        settings = WatchDeliveriesSettings(
            state_machine_arn="arn:aws:states:eu-west-1:123456789012:stateMachine:swath",
            catalog_uri="s3://assets/catalog.json",
            default_model="ships",
            work_uri="s3://work",
            topic_arn=topic,
        )
        set_env(settings)
        storage.write_bytes("s3://scenes/deliveries/x/a.tif", b"1")
        starter = DeliveryStarter(
            settings=settings,
            catalog=load_catalog(settings.catalog_uri),
            now=datetime.now(UTC),
        )
        starter.handle_drop(
            Drop(bucket="scenes", key="deliveries/x/a.tif", etag="e", size=1, dropped_at="")
        )

        def receive():
            found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", ())
            return [json.loads(json.loads(one["Body"])["Message"]) for one in found]

        yield receive
    module.configuration.cache_clear()
    storage.s3.cache_clear()


def scheduled(**later):
    """https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html"""
    return {
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": (datetime.now(UTC) + timedelta(**later)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "eu-west-1",
        "resources": ["arn:aws:events:eu-west-1:123456789012:rule/schedule"],
        "detail": {},
    }


def test_a_delivery_is_reported_once_when_its_time_is_over(messages, context):
    assert module.handler(scheduled(hours=1), context)["reported"] == 0
    assert messages() == []
    assert module.handler(scheduled(hours=7), context) == {
        "checked": 1,
        "started": 0,
        "reported": 1,
    }
    (message,) = messages()
    assert message["delivery"] == "s3://scenes/deliveries/x/"
    assert message["message"].startswith("A delivery to swath is incomplete after 6 h: ")
    assert module.handler(scheduled(hours=8), context)["reported"] == 0
    assert messages() == []
