"""Deployed endpoints: called by hand, and by runs with repeated or lost notifications."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import rasterio
from botocore.exceptions import ClientError
from rasterio.windows import Window

from swath.pipeline.local import run_local
from swath.pipeline.paths import RunPaths
from tests.integration.pipeline import Pipeline, eventually
from tests.integration.test_pipeline import SHIPS, port, write_scene
from tests.local_cloud.canaries.aws import create_role, document, new_name

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


@pytest.mark.parametrize("kind", ["Realtime", "Serverless"])
def test_an_image_gets_the_detections_of_a_run(
    pipeline: Pipeline, data: Path, tmp_path: Path, kind: str
):
    scene = small(port(data, "busan"), tmp_path / "scene.tif")
    answer = pipeline.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=pipeline.outputs[f"{kind}Endpoint"],
        Body=scene.read_bytes(),
        ContentType="image/tiff",
        Accept="application/json",
    )
    found = json.loads(answer["Body"].read())

    assert answer["ContentType"] == "application/json"
    run = run_local(str(scene), str(SHIPS), tmp_path / "found")
    assert found["model"] == {"name": "ships", "digest": pipeline.model.digest}
    assert len(found["detections"]) == run.detections > 0


def small(scene: Path, path: Path) -> Path:
    """A part of a scene that a serverless endpoint takes."""
    with rasterio.open(scene) as source:
        window = Window(300, 150, 512, 512)
        profile = {**source.profile, "width": 512, "height": 512}
        with rasterio.open(path, "w", **profile) as target:
            target.write(source.read(window=window))
    return path


def test_an_image_that_is_none_is_refused_as_sagemaker_words_it(pipeline: Pipeline):
    with pytest.raises(ClientError) as caught:
        pipeline.client("sagemaker-runtime").invoke_endpoint(
            EndpointName=pipeline.outputs["RealtimeEndpoint"],
            Body=b"These are the voyages of no raster at all.",
            ContentType="image/tiff",
        )

    response = caught.value.response
    assert response["Error"]["Code"] == "ModelError"
    assert response["OriginalStatusCode"] == 400
    assert json.loads(response["OriginalMessage"])["message"]


def test_swath_invoke_gives_the_same_result_from_every_kind_of_endpoint(
    pipeline: Pipeline, data: Path, tmp_path: Path
):
    images = [
        small(port(data, "busan"), tmp_path / "busan.tif"),
        small(port(data, "klang"), tmp_path / "klang.tif"),
    ]
    swath_invoke(pipeline, "Realtime", *images, "--out", tmp_path)
    serverless = swath_invoke(pipeline, "Serverless", images[0])
    asynchronous = swath_invoke(pipeline, "Async", "--async", images[0])

    found = [json.loads((tmp_path / f"{image.stem}.geojson").read_text()) for image in images]
    assert [answer["type"] for answer in found] == ["FeatureCollection"] * 2
    assert found[0]["features"] != found[1]["features"]
    assert json.loads(serverless) == json.loads(asynchronous) == found[0]


def swath_invoke(pipeline: Pipeline, kind: str, *arguments: str | Path) -> str:
    """Return what the command prints."""
    cloud = pipeline.cloud
    return subprocess.run(
        [
            Path(sys.executable).with_name("swath"),
            *("invoke", "--endpoint", pipeline.outputs[f"{kind}Endpoint"]),
            *arguments,
        ],
        env={**os.environ, **cloud.administrator, "AWS_ENDPOINT_URL": cloud.endpoint},
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    ).stdout


@dataclass(frozen=True)
class Notifications:
    """Notifications of the asynchronous endpoint, as a second subscriber receives them."""

    pipeline: Pipeline
    queue: str

    @property
    def topics(self) -> dict[str, str]:
        name = self.pipeline.outputs["AsyncEndpoint"]
        about = self.pipeline.client("sagemaker").describe_endpoint(EndpointName=name)
        output = about["AsyncInferenceConfig"]["OutputConfig"]
        return dict(output["NotificationConfig"])

    def next(self) -> str:
        """The next message; waits for it."""
        sqs = self.pipeline.client("sqs")

        def received() -> Any:
            return sqs.receive_message(QueueUrl=self.queue).get("Messages")

        (message,) = eventually(received, "a notification")
        sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=message["ReceiptHandle"])
        return str(json.loads(message["Body"])["Message"])

    def handled(self, outcome: str) -> int:
        """Return the number of notifications that `resume_run` has handled so."""
        logs = self.pipeline.cloud.logs.glob("lambda-*ResumeRun*.log")
        text = "".join(path.read_text() for path in logs)
        return text.count(f'"outcome":"{outcome}"')


@pytest.fixture
def notifications(pipeline: Pipeline) -> Iterator[Notifications]:
    sqs, sns = pipeline.client("sqs"), pipeline.client("sns")
    url = sqs.create_queue(QueueName=new_name())["QueueUrl"]
    heard = Notifications(pipeline, url)
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    subscriptions = [
        sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn["QueueArn"])["SubscriptionArn"]
        for topic in heard.topics.values()
    ]
    yield heard
    for subscription in subscriptions:
        sns.unsubscribe(SubscriptionArn=subscription)
    sqs.delete_queue(QueueUrl=url)


def test_a_notification_that_comes_twice_changes_nothing(
    pipeline: Pipeline, notifications: Notifications, tmp_path: Path
):
    uri = pipeline.drop(write_scene(tmp_path / "scene.tif", seed=11), "elsewhere/told-twice.tif")
    execution = pipeline.start(pipeline.request(uri, "sagemaker-async"))
    run = pipeline.wait(uri)
    stale = notifications.handled("stale")

    sns = pipeline.client("sns")
    again = notifications.next()
    for _ in range(2):
        sns.publish(TopicArn=notifications.topics["SuccessTopic"], Message=again)
    eventually(lambda: notifications.handled("stale") == stale + 2, "the function to ignore both")

    assert run.status == "succeeded"
    assert pipeline.runs(uri) == [run]
    assert pipeline.ended(execution)["status"] == "SUCCEEDED"
    assert len(pipeline.detections(uri)) == run.detections


def test_a_shard_is_requested_again_after_a_lost_notification(
    pipeline: Pipeline, notifications: Notifications, tmp_path: Path
):
    uri = pipeline.drop(write_scene(tmp_path / "scene.tif", seed=12), "elsewhere/lost.tif")
    request = pipeline.request(uri, "sagemaker-async")

    with machine(pipeline, with_timeout(pipeline, seconds=4)) as impatient_machine:
        with without_notifications(pipeline, notifications.topics["SuccessTopic"]):
            execution = pipeline.start(request, machine=impatient_machine)
            notifications.next()
        run = pipeline.wait(uri)

    assert run.status == "succeeded"
    assert run.tiles_succeeded + run.tiles_skipped == run.tiles_planned
    assert len(pipeline.published(execution)) == run.detections
    first = json.loads(notifications.next())["requestParameters"]["inputLocation"]
    assert first == RunPaths(f"s3://{pipeline.outputs['WorkBucket']}", request.run_id).request(0)


def with_timeout(pipeline: Pipeline, *, seconds: int) -> dict[str, Any]:
    """The deployed definition, but for how long it waits for a notification."""
    definition = deployed_definition(pipeline)
    children = definition["States"]["InferShardsOnAsyncEndpoint"]["ItemProcessor"]["States"]
    children["InferShardOnAsyncEndpoint"]["TimeoutSeconds"] = seconds
    return definition


def deployed_definition(pipeline: Pipeline) -> dict[str, Any]:
    about = pipeline.client("stepfunctions").describe_state_machine(
        stateMachineArn=pipeline.machine
    )
    return dict(json.loads(about["definition"]))


@contextlib.contextmanager
def machine(pipeline: Pipeline, definition: dict[str, Any]) -> Iterator[str]:
    """A state machine beside the deployed one, which `resume_run` may answer, too."""
    name, iam = new_name(), pipeline.client("iam")
    arn = pipeline.client("stepfunctions").create_state_machine(
        name=name, definition=json.dumps(definition), roleArn=create_role(iam, name)
    )["stateMachineArn"]
    functions = pipeline.client("lambda").list_functions()["Functions"]
    (resume,) = (f for f in functions if "ResumeRun" in f["FunctionName"])
    policy = {"RoleName": resume["Role"].rpartition("/")[2], "PolicyName": name}
    answers = {"Effect": "Allow", "Action": "states:SendTask*", "Resource": f"{arn}*"}
    iam.put_role_policy(**policy, PolicyDocument=document(answers))
    yield arn
    iam.delete_role_policy(**policy)


@contextlib.contextmanager
def without_notifications(pipeline: Pipeline, topic: str) -> Iterator[None]:
    """Functions do not hear the topic for a while."""
    sns = pipeline.client("sns")
    subscriptions = sns.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]
    functions = [s for s in subscriptions if s["Protocol"] == "lambda"]
    assert functions
    for subscription in functions:
        sns.unsubscribe(SubscriptionArn=subscription["SubscriptionArn"])
    try:
        yield
    finally:
        for subscription in functions:
            sns.subscribe(TopicArn=topic, Protocol="lambda", Endpoint=subscription["Endpoint"])


def test_a_shard_that_the_container_refuses_fails_its_state_with_the_cause(
    pipeline: Pipeline, notifications: Notifications
):
    plan_uri = f"s3://{pipeline.outputs['WorkBucket']}/runs/{new_name()}/plan.json"
    with machine(pipeline, waiting(pipeline)) as waiting_machine:
        execution = pipeline.client("stepfunctions").start_execution(
            stateMachineArn=waiting_machine,
            input=json.dumps({"plan_uri": plan_uri, "index": 0}),
        )["executionArn"]
        about = pipeline.ended(execution)
    notification = json.loads(notifications.next())

    assert notification["invocationStatus"] == "Failed"
    assert (about["status"], about["error"]) == ("FAILED", "InputError")
    assert "PayloadError" in about["cause"]
    assert plan_uri in about["cause"]


def waiting(pipeline: Pipeline) -> dict[str, Any]:
    """A definition of one state, that of the deployed machine which waits for a shard."""
    inner = deployed_definition(pipeline)["States"]["InferShardsOnAsyncEndpoint"]["ItemProcessor"]
    return {"StartAt": inner["StartAt"], "States": inner["States"]}
