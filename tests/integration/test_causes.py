"""A failed run names the shard that failed first, and why, in the database and to the topic."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_cloud.faults.kinds import JobOutOfMemory
from tests.integration.flows import array_that_is_too_large, fail
from tests.integration.pipeline import Pipeline, eventually, messages
from tests.integration.test_permissions import without
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


def read_notification(pipeline: Pipeline, queue: str, run: Any) -> dict[str, Any]:
    """The detail in the topic's message about a run."""
    text = eventually(lambda: messages(pipeline, queue, str(run.run_id)), "word of the run")
    detail: dict[str, Any] = json.loads(text)["detail"]
    return detail


@pytest.mark.parametrize(
    ("backend", "function"),
    [("lambda", "InferShard"), ("sagemaker-realtime", "ServeRealtime")],
)
def test_a_map_fails_for_the_reason_of_a_shard(
    pipeline: Pipeline, failure_queue: str, tmp_path: Path, backend: Any, function: str
):
    with without(pipeline.cloud, function, "s3:PutObject"):
        run = fail(pipeline, tmp_path, backend, f"cannot-write-{function}")
    detail = read_notification(pipeline, failure_queue, run)

    assert run.cause.startswith("shard 0: ")
    assert "AccessDenied" in run.cause
    assert f"runs/{run.run_id}/shards/0" in run.cause
    assert "threshold" not in run.cause
    assert not run.error.startswith("States.")
    assert (detail["error"], detail["cause"]) == (run.error, run.cause)
    summary = pipeline.summary(run.run_id)
    assert (summary["status"], summary["scene"]) == ("failed", run.scene_uri)
    assert (summary["error"], summary["cause"]) == (run.error, run.cause)


def test_an_array_fails_for_the_reason_of_a_child(
    pipeline: Pipeline, failure_queue: str, tmp_path: Path
):
    with array_that_is_too_large(pipeline):
        run = fail(pipeline, tmp_path, "batch", "second-job")
    detail = read_notification(pipeline, failure_queue, run)

    assert run.error == "PayloadError"
    assert run.cause.startswith("shard 1: ")
    assert "there is no shard 1" in run.cause
    assert "log stream" in run.cause
    assert (detail["error"], detail["cause"]) == (run.error, run.cause)


def test_an_array_whose_child_is_killed_has_batchs_reason(pipeline: Pipeline, tmp_path: Path):
    with array_that_is_too_large(pipeline), pipeline.cloud.fault(JobOutOfMemory()):
        run = fail(pipeline, tmp_path, "batch", "killed-child")

    assert run.error == "OutOfMemoryError"
    assert run.cause.startswith("shard ")
    assert "Container killed due to memory usage" in run.cause
    assert "exit code 137" in run.cause


def test_a_run_stopped_by_hand_is_recorded_and_notified(
    pipeline: Pipeline, failure_queue: str, tmp_path: Path
):
    uri = pipeline.drop(write_scene(tmp_path / "x.tif", seed=61), "elsewhere/stopped.tif")
    request = pipeline.request(uri, "lambda")
    about = {
        "executionArn": f"{pipeline.machine}:x".replace(":stateMachine:", ":execution:"),
        "name": request.run_id,
        "status": "ABORTED",
        "stopDate": 1_795_262_410_000,
        "input": json.dumps(request.to_json()),
    }
    event = {"detail-type": "Step Functions Execution Status Change", "detail": about}
    pipeline.client("stepfunctions").start_execution(
        stateMachineArn=pipeline.recorder, name=request.run_id, input=json.dumps(event)
    )
    run = pipeline.wait(request.scene.uri)
    detail = read_notification(pipeline, failure_queue, run)

    assert (run.status, run.cause) == ("aborted", "the run was stopped by hand")
    assert detail == about | {"error": "ABORTED", "cause": run.cause}


def test_the_events_own_cause_stays_if_no_other_is_known(
    pipeline: Pipeline, failure_queue: str, tmp_path: Path
):
    with (
        without(pipeline.cloud, "FindCause", "states:ListMapRuns"),
        without(pipeline.cloud, "InferShard", "s3:PutObject"),
    ):
        run = fail(pipeline, tmp_path, "lambda", "unexplained")
    detail = read_notification(pipeline, failure_queue, run)

    assert run.error == detail["error"] == "States.ExceedToleratedFailureThreshold"
    assert "threshold was exceeded" in run.cause
