from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from local_cloud.moto_patches import (
    asynchronous_inference,
    endpoint_configurations,
    endpoint_invocation,
)
from local_cloud.services import Services
from tests.local_cloud.canaries.aws import Aws, applied, eventually, new_name
from tests.local_cloud.canaries.serving import Serving


@pytest.fixture
def serving(services: Services, aws: Aws, tmp_path: Path) -> Iterator[Serving]:
    with applied(services, endpoint_configurations):
        yield Serving.new(aws, tmp_path / "image")


@pytest.fixture
def queue(aws: Aws) -> str:
    return aws.queue()


@pytest.fixture
def topic(aws: Aws, queue: str) -> str:
    sns = aws.client("sns")
    arn = sns.create_topic(Name=new_name())["TopicArn"]
    sns.subscribe(TopicArn=arn, Protocol="sqs", Endpoint=aws.queue_arn(queue))
    return arn


@pytest.fixture
def endpoint(serving: Serving, topic: str) -> str:
    output = {
        "S3OutputPath": f"s3://{serving.bucket}/done/",
        "S3FailurePath": f"s3://{serving.bucket}/failed",
        "NotificationConfig": {"SuccessTopic": topic, "ErrorTopic": topic},
    }
    return serving.endpoint(asynchronous={"OutputConfig": output})


def invoke(serving: Serving, endpoint: str, body: bytes | None, **options: Any) -> dict[str, Any]:
    if body is not None:
        s3 = serving.aws.client("s3")
        s3.put_object(Bucket=serving.bucket, Key="requests/1", Body=body)
    return serving.aws.client("sagemaker-runtime").invoke_endpoint_async(
        EndpointName=endpoint, InputLocation=f"s3://{serving.bucket}/requests/1", **options
    )


def read_notification(aws: Aws, queue: str) -> dict[str, Any]:
    (message,) = eventually(lambda: aws.messages(queue), "word of the result")
    return json.loads(message["Message"])


def read(aws: Aws, uri: str) -> bytes:
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    return aws.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()


def test_canary_asynchronous_inference(
    services: Services, aws: Aws, serving: Serving, endpoint: str, queue: str
):
    vanilla = invoke(serving, endpoint, b"text")
    assert json.loads(read(aws, vanilla["OutputLocation"])) == {"default": "response"}
    assert aws.messages(queue) == []

    with applied(services, endpoint_invocation, asynchronous_inference):
        answer = invoke(serving, endpoint, b"\xff1", ContentType="image/tiff", InferenceId="mine")
        message = read_notification(aws, queue)

    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert answer["InferenceId"] == "mine"
    assert answer["OutputLocation"].startswith(f"s3://{serving.bucket}/done/")
    seen = json.loads(read(aws, answer["OutputLocation"]))
    assert (seen["length"], seen["headers"]["content-type"]) == (2, "image/tiff")
    assert message.pop("eventTime") >= message.pop("receivedTime")
    assert message == {
        "awsRegion": "eu-west-1",
        "invocationStatus": "Completed",
        "requestParameters": {
            "contentType": "image/tiff",
            "endpointName": endpoint,
            "inputLocation": f"s3://{serving.bucket}/requests/1",
        },
        "responseParameters": {
            "contentType": "application/json",
            "outputLocation": answer["OutputLocation"],
        },
        "inferenceId": "mine",
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }


def test_a_failure_is_written_and_notified(
    services: Services, aws: Aws, serving: Serving, endpoint: str, queue: str
):
    with applied(services, endpoint_invocation, asynchronous_inference):
        answer = invoke(serving, endpoint, b"400 no raster")
        message = read_notification(aws, queue)

    reason = 'Received client error (400) from primary with message "no raster"'
    assert message["invocationStatus"] == "Failed"
    assert message["failureReason"].startswith(f"ClientError: {reason}")
    assert message["requestParameters"]["inputLocation"].endswith("/requests/1")
    assert "responseParameters" not in message
    assert answer["FailureLocation"].startswith(f"s3://{serving.bucket}/failed/")
    assert read(aws, answer["FailureLocation"]).decode().startswith(reason)
    with pytest.raises(ClientError, match="NoSuchKey"):
        read(aws, answer["OutputLocation"])


def test_a_missing_request_is_notified(
    services: Services, aws: Aws, serving: Serving, endpoint: str, queue: str
):
    with applied(services, endpoint_invocation, asynchronous_inference):
        invoke(serving, endpoint, None)
        message = read_notification(aws, queue)

    assert message["invocationStatus"] == "Failed"
    assert "NoSuchKey" in message["failureReason"]


def test_a_request_has_a_time_limit_of_its_own(
    services: Services, aws: Aws, serving: Serving, endpoint: str, queue: str
):
    with applied(services, endpoint_invocation, asynchronous_inference):
        invoke(serving, endpoint, b"hang", InvocationTimeoutSeconds=1)
        message = read_notification(aws, queue)

    assert "timed out" in message["failureReason"]


def test_each_kind_of_endpoint_has_its_own_call(
    services: Services, serving: Serving, endpoint: str
):
    runtime = serving.aws.client("sagemaker-runtime")
    with applied(services, endpoint_invocation, asynchronous_inference):
        with pytest.raises(ClientError, match="supports InvokeEndpointAsync only"):
            runtime.invoke_endpoint(EndpointName=endpoint, Body=b"text")
        with pytest.raises(ClientError, match="supports InvokeEndpoint only"):
            invoke(serving, serving.endpoint(), b"text")
