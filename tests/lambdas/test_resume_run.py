"""resume_run on moto's S3; Step Functions answers over HTTP."""

import json

import pytest

from lambdas.resume_run import handler as module
from swath import storage
from swath.errors import PayloadError
from swath.messages import Receipt, ShardRequest, TileCounts
from swath.pipeline.paths import RunPaths
from swath.sagemaker.client.async_shards import attempt_id
from swath.settings import ResumeRunSettings
from tests.helpers.answers import Answer

RECEIPT = Receipt(
    run_id="r",
    index=3,
    plan_fingerprint="l",
    tiles=TileCounts(planned=4, succeeded=4),
    detections=7,
    seconds=0.5,
)


@pytest.fixture(autouse=True)
def states(service, http_bucket, set_env, monkeypatch):
    """Step Functions, and the settings of a deployed function."""
    module.settings.cache_clear()
    set_env(ResumeRunSettings(work_uri=http_bucket))
    monkeypatch.setenv("AWS_ENDPOINT_URL_SFN", service.url)
    yield service
    module.settings.cache_clear()


@pytest.fixture
def message(http_bucket):
    """SageMaker's notification of a shard that it inferred."""
    request = ShardRequest(
        plan_uri=storage.join(http_bucket, "runs/r/plan.json"), index=3, task_token="AQC8"
    )
    uri = RunPaths(http_bucket, "r").request(3)
    answer = storage.join(http_bucket, "invocations/answers/0.out")
    storage.write_json(uri, request.to_json())
    storage.write_json(answer, RECEIPT.to_json())
    return {
        "invocationStatus": "Completed",
        "requestParameters": {"endpointName": "swath-async", "inputLocation": uri},
        "responseParameters": {"outputLocation": answer},
        "inferenceId": attempt_id(request),
    }


def delivered(message):
    """Return an event as in https://docs.aws.amazon.com/lambda/latest/dg/with-sns.html."""
    return {
        "Records": [
            {
                "EventVersion": "1.0",
                "EventSubscriptionArn": "arn:aws:sns:eu-west-1:123456789012:done:21be56ed",
                "EventSource": "aws:sns",
                "Sns": {
                    "Type": "Notification",
                    "MessageId": "95df01b4-ee98-5cb9-9903-4c221d41eb5e",
                    "TopicArn": "arn:aws:sns:eu-west-1:123456789012:done",
                    "Subject": None,
                    "Message": json.dumps(message),
                    "Timestamp": "2026-11-21T12:00:00.608Z",
                },
            }
        ]
    }


def test_the_run_goes_on_with_the_receipt(states, message, context):
    states.answer(Answer())

    assert module.handler(delivered(message), context)["outcome"] == "resumed"

    (asked,) = states.asked
    assert asked.action == "SendTaskSuccess"
    assert asked.json["taskToken"] == "AQC8"
    assert Receipt.from_json(json.loads(asked.json["output"])) == RECEIPT


def test_a_failure_is_sent_to_the_run(states, message, context):
    states.answer(Answer())
    failure = {"invocationStatus": "Failed", "failureReason": "server error (503) from model"}

    assert module.handler(delivered(message | failure), context)["outcome"] == "failed"

    (asked,) = states.asked
    assert (asked.action, asked.json["error"]) == ("SendTaskFailure", "TransientError")


def test_a_message_delivered_twice_does_nothing_the_second_time(states, message, context):
    gone = Answer({"__type": "TaskTimedOut", "message": "done"}, status=400)
    states.answer(Answer(), gone)

    outcomes = [module.handler(delivered(message), context)["outcome"] for _ in range(2)]

    assert outcomes == ["resumed", "stale"]


def test_requests_of_other_callers_are_ignored(states, message, http_bucket, context):
    image = storage.join(http_bucket, "invocations", "x.tif")
    message["requestParameters"]["inputLocation"] = image

    assert module.handler(delivered(message), context)["outcome"] == "ignored"
    assert states.asked == []


def test_another_message_is_an_error_and_so_a_dead_letter(context):
    with pytest.raises(PayloadError, match="not a notification"):
        module.handler(delivered({"AlarmName": "x"}), context)
