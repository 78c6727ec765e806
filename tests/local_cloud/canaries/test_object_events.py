from __future__ import annotations

from typing import Any

from local_cloud.faults.kinds import EventLate
from local_cloud.moto_patches import object_events
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, eventually


def test_canary_object_events(services: Services, aws: Aws):
    bucket, queue = aws.bucket(), aws.queue()
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    # Moto sends an event for an object's rights with each put; S3 does not.
    pattern = {"detail-type": ["Object Created"], "detail": {"bucket": {"name": [bucket]}}}
    rule = aws.rule(pattern, {"Arn": aws.queue_arn(queue)})

    (vanilla,) = put(aws, bucket, queue, "a b+c.tif")
    with applied(services, object_events):
        (first,) = put(aws, bucket, queue, "a b+c.tif")
        (second,) = put(aws, bucket, queue, "a b+c.tif")
    aws.drop_rule(rule)

    assert "etag" not in vanilla["detail"]["object"]
    described = first["detail"]["object"]
    assert described["key"] == "a b+c.tif"
    assert described["size"] == 4
    assert described["etag"] == "8d777f385d3dfec8815d20f7496026dc"
    assert described["sequencer"] < second["detail"]["object"]["sequencer"]
    assert "version-id" not in described
    assert first["detail-type"] == "Object Created"
    assert first["detail"]["reason"] == "PutObject"
    assert first["id"] != second["id"]


def test_a_late_event_arrives_behind_the_next_one_with_its_own_sequencer(
    services: Services, aws: Aws
):
    bucket, queue = aws.bucket(), aws.queue()
    aws.client("s3").put_bucket_notification_configuration(
        Bucket=bucket, NotificationConfiguration={"EventBridgeConfiguration": {}}
    )
    pattern = {"detail-type": ["Object Created"], "detail": {"bucket": {"name": [bucket]}}}
    rule = aws.rule(pattern, {"Arn": aws.queue_arn(queue)})
    services.faults.switch_on(EventLate(seconds=0.5, times=1))
    with applied(services, object_events):
        aws.client("s3").put_object(Bucket=bucket, Key="scene.tif", Body=b"first")
        (at_once,) = put(aws, bucket, queue, "scene.tif")
        (late,) = eventually(lambda: aws.messages(queue), "the late event")
    aws.drop_rule(rule)

    assert (late["detail"]["object"]["size"], at_once["detail"]["object"]["size"]) == (5, 4)
    assert late["detail"]["object"]["sequencer"] < at_once["detail"]["object"]["sequencer"]


def put(aws: Aws, bucket: str, queue: str, key: str) -> list[Any]:
    aws.client("s3").put_object(Bucket=bucket, Key=key, Body=b"data")
    return eventually(lambda: aws.messages(queue), "the event")
