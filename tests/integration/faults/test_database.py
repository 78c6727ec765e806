"""The database while it is paused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_cloud.faults.kinds import DataApiResuming, DatabasePaused, TimeLapse
from tests.integration.pipeline import Pipeline, eventually
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


def test_a_run_survives_that_the_database_is_paused(pipeline: Pipeline, tmp_path: Path):
    with pipeline.cloud.fault(DatabasePaused(seconds=15, refused=1)) as fault:
        uri = pipeline.drop(write_scene(tmp_path / "x.tif", seed=22), "incoming/paused.tif")
        run = pipeline.wait(uri)
        occurrences = fault.occurrences

    assert run.status == "succeeded", run.cause
    # A run that another test has left in flight may connect, too.
    assert occurrences >= 2, "a connection that is refused, then one that is held"


def test_a_failure_is_recorded_though_the_database_is_away_for_an_hour(
    pipeline: Pipeline, tmp_path: Path
):
    scene = tmp_path / "bad.tif"
    scene.write_bytes(b"no raster")
    # The hour passes in 6 s; a second of AWS's waits in 1/600 of it.
    away = DatabasePaused(seconds=6, refused=1_000_000)
    with pipeline.cloud.fault(TimeLapse(factor=600)), pipeline.cloud.fault(away) as fault:
        run = pipeline.wait(pipeline.drop(scene, "incoming/failed-while-away.tif"))
        occurrences = fault.occurrences

    assert (run.status, run.error) == ("failed", "SceneError")
    assert "failed-while-away.tif" in run.cause
    assert run.recorded_at > run.ended_at
    assert occurrences > 3, "more calls than the attempts of Lambda itself"


def test_a_failure_that_is_not_recorded_is_set_aside_and_can_be_redriven(
    pipeline: Pipeline, tmp_path: Path
):
    """The database is away for longer than the retries last."""
    scene = tmp_path / "bad.tif"
    scene.write_bytes(b"no raster")
    queue = pipeline.queue("UnrecordedF")
    away = DatabasePaused(seconds=3600, refused=1_000_000)
    with pipeline.cloud.fault(TimeLapse(factor=1e6)), pipeline.cloud.fault(away):
        uri = pipeline.drop(scene, "incoming/failed-while-gone.tif")
        letter = eventually(lambda: letter_about(pipeline, queue, uri), "a dead letter", 120)

    lost = letter["detail"]["executionArn"]
    assert letter["detail"]["error"] == "TransientError"
    pipeline.client("stepfunctions").redrive_execution(executionArn=lost)
    run = pipeline.wait(uri)

    assert (run.status, run.error) == ("failed", "SceneError")
    assert pipeline.ended(lost)["status"] == "SUCCEEDED"


def letter_about(pipeline: Pipeline, queue: str, uri: str) -> Any:
    """The next letter on a queue, taken off it, if it is about the run of this scene."""
    found = pipeline.client("sqs").receive_message(QueueUrl=queue).get("Messages", ())
    for message in found:
        if uri in message["Body"]:
            pipeline.client("sqs").delete_message(
                QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"]
            )
            return json.loads(message["Body"])
    return None


def test_the_database_is_prepared_though_it_is_paused(pipeline: Pipeline):
    functions = pipeline.client("lambda")
    (name,) = (
        about["FunctionName"]
        for about in functions.list_functions()["Functions"]
        if "PrepareDatabase" in about["FunctionName"]
    )
    with pipeline.cloud.fault(DataApiResuming(times=3)) as fault:
        answer = functions.invoke(FunctionName=name, Payload=b"{}")
        done = json.loads(answer["Payload"].read())
        occurrences = fault.occurrences

    assert "FunctionError" not in answer, done
    assert done["statements"] > 0
    assert occurrences == 3
