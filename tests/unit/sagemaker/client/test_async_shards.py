"""Tests of a shard at an asynchronous endpoint: the queued request, and its notifications."""

import json

import boto3
import pytest

from swath import storage
from swath.errors import PayloadError, SettingsError, TransientError
from swath.messages import Receipt, ShardRequest, TileCounts
from swath.pipeline.paths import RunPaths
from swath.sagemaker.client.async_shards import (
    Notification,
    attempt_id,
    resume_run,
    submit_shard,
)
from swath.settings import SubmitShardSettings
from tests.helpers.answers import Answer

SETTINGS = SubmitShardSettings(
    endpoint_name="swath-async", queue_seconds=1800, inference_seconds=900
)
RECEIPT = Receipt(
    run_id="r",
    index=3,
    plan_fingerprint="l",
    tiles=TileCounts(planned=4, succeeded=4),
    detections=7,
    seconds=0.5,
)


@pytest.fixture
def work(tmp_path):
    return str(tmp_path / "work")


@pytest.fixture
def shard(work):
    return ShardRequest(plan_uri=f"{work}/runs/r/plan.json", index=3, task_token="AQC8/é…")


@pytest.fixture
def states(service):
    """Return a client of Step Functions."""
    return boto3.client("stepfunctions", endpoint_url=service.url, region_name="eu-west-1")


@pytest.fixture
def queued(work, shard):
    """Write the request as `submit_shard` does and return its URI."""
    uri = RunPaths(work, "r").request(3)
    storage.write_json(uri, shard.to_json())
    return uri


def succeeded(uri, output_uri, inference_id):
    """Return the message of a success, as AWS documents it."""
    return {
        "awsRegion": "eu-west-1",
        "eventTime": "2026-11-21T12:00:00.608Z",
        "receivedTime": "2026-11-21T11:59:00.455Z",
        "invocationStatus": "Completed",
        "requestParameters": {
            "contentType": "application/json",
            "endpointName": "swath-async",
            "inputLocation": uri,
        },
        "responseParameters": {
            "contentType": "application/json",
            "outputLocation": output_uri,
        },
        "inferenceId": inference_id,
        "eventVersion": "1.0",
        "eventSource": "aws:sagemaker",
        "eventName": "InferenceResult",
    }


def failed(uri, reason, inference_id):
    message = succeeded(uri, "", inference_id) | {
        "invocationStatus": "Failed",
        "failureReason": reason,
    }
    del message["responseParameters"]
    return message


@pytest.fixture
def notify(work, states):
    """Return a function that handles a message as SNS delivers it."""

    def notify(message):
        found = Notification.from_message(json.dumps(message))
        return resume_run(found, work_uri=work, states=states)

    return notify


@pytest.fixture
def answer(work):
    """Write the container's response and return its URI."""
    uri = f"{work}/invocations/answers/0.out"
    storage.write_json(uri, RECEIPT.to_json())
    return uri


def test_a_shard_is_queued_with_the_token_of_who_waits(runtime, work, shard):
    runtime.answer(Answer(status=202, headers={"X-Amzn-SageMaker-OutputLocation": "s3://o/0.out"}))

    submission = submit_shard(shard, SETTINGS)

    assert submission.request_uri == f"{work}/runs/r/requests/3.json"
    assert submission.output_uri == "s3://o/0.out"
    assert ShardRequest.from_json(storage.read_json(submission.request_uri)) == shard
    (asked,) = runtime.asked
    assert asked.path == "/endpoints/swath-async/async-invocations"
    told = {
        name.removeprefix("x-amzn-sagemaker-"): value
        for name, value in asked.headers.items()
        if name.startswith("x-amzn-sagemaker-")
    }
    assert told == {
        "inputlocation": submission.request_uri,
        "content-type": "application/json",
        "accept": "application/json",
        "inference-id": attempt_id(shard),
        "requestttlseconds": "1800",
        "invocationtimeoutseconds": "900",
    }


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer({"message": "slow"}, status=400, error="ThrottlingException"), TransientError),
        (Answer({"message": "not found"}, status=400, error="ValidationError"), SettingsError),
    ],
)
def test_what_sagemaker_refuses_is_sorted_like_any_call(runtime, shard, answer, error):
    runtime.answer(answer)

    with pytest.raises(error, match="swath-async"):
        submit_shard(shard, SETTINGS)


def test_a_success_resumes_the_run_with_the_receipt(service, notify, shard, queued, answer):
    service.answer(Answer())

    assert notify(succeeded(queued, answer, attempt_id(shard))).outcome == "resumed"

    (asked,) = service.asked
    assert asked.action == "SendTaskSuccess"
    assert asked.json["taskToken"] == shard.task_token
    assert Receipt.from_json(json.loads(asked.json["output"])) == RECEIPT


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        ("ClientError: Received client error (400) from model. See …", "InputError"),
        ("ClientError: Received client error (429) from model. See …", "TransientError"),
        ("ClientError: Received server error (503) from model. See …", "TransientError"),
        ("ClientError: Your invocation timed out", "TransientError"),
        (None, "TransientError"),
    ],
)
def test_a_failure_is_told_under_the_name_that_the_states_know(
    service, notify, shard, queued, reason, error
):
    service.answer(Answer())

    assert notify(failed(queued, reason, attempt_id(shard))).outcome == "failed"

    (asked,) = service.asked
    assert asked.action == "SendTaskFailure"
    assert (asked.json["taskToken"], asked.json["error"]) == (shard.task_token, error)
    assert (reason or "unknown") in asked.json["cause"]


def test_a_cause_of_any_length_is_taken(service, notify, shard, queued):
    service.answer(Answer())

    notify(failed(queued, "x" * 100_000, attempt_id(shard)))

    assert len(service.asked[0].json["cause"]) == 32_768


@pytest.mark.parametrize("gone", ["TaskDoesNotExist", "TaskTimedOut"])
def test_what_is_told_twice_or_too_late_is_harmless(service, notify, shard, queued, answer, gone):
    body = {"__type": gone, "message": "nobody"}
    service.answer(Answer(body, status=400), Answer(body, status=400))

    assert notify(succeeded(queued, answer, attempt_id(shard))).outcome == "stale"
    assert notify(failed(queued, "(500)", attempt_id(shard))).outcome == "stale"


def test_the_word_of_an_earlier_attempt_does_not_end_the_next_one(
    service, notify, shard, work, queued
):
    storage.write_json(queued, {**shard.to_json(), "task_token": "the next one's"})

    assert notify(failed(queued, "(500)", attempt_id(shard))).outcome == "stale"
    assert service.asked == []


def test_an_image_that_somebody_sent_is_none_of_a_runs_business(service, notify, work, answer):
    message = succeeded(f"{work}/invocations/images/x.tif", answer, "anybody's")

    assert notify(message).outcome == "ignored"
    assert service.asked == []


def test_a_run_whose_objects_have_expired_is_left_alone(notify, work, answer):
    message = succeeded(f"{work}/runs/r/requests/9.json", answer, "long ago")

    assert notify(message).outcome == "stale"


def test_an_answer_that_is_no_receipt_is_an_error(service, notify, shard, work, queued):
    uri = f"{work}/invocations/answers/1.out"
    storage.write_json(uri, {"type": "FeatureCollection"})

    with pytest.raises(PayloadError, match="swath-async"):
        notify(succeeded(queued, uri, attempt_id(shard)))
    assert service.asked == []


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"invocationStatus": "Completed"}'])
def test_another_message_is_refused(text):
    with pytest.raises(PayloadError, match="not a notification"):
        Notification.from_message(text)
