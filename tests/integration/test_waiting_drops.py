"""A scene that is dropped again during its own run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from local_cloud.faults.kinds import FunctionInactive
from tests.integration.pipeline import RUNNING, Pipeline, eventually
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


def test_a_scene_dropped_again_while_its_run_is_under_way_is_run_once_that_has_failed(
    pipeline: Pipeline, tmp_path: Path
):
    key = "incoming/waiting.tif"
    scene = write_scene(tmp_path / "waiting.tif", seed=71)
    idle = FunctionInactive(function="PlanScene", error="CodeArtifactUserPendingException")
    with pipeline.cloud.fault(idle):
        uri = pipeline.drop(scene, key)
        first = eventually(lambda: running_execution(pipeline, uri), "an execution", 120)
        pipeline.drop(scene, key)
        eventually(lambda: is_waiting(pipeline, uri), "the second drop's note", 120)
        pipeline.client("stepfunctions").stop_execution(executionArn=first)
    run = eventually(
        lambda: next((r for r in pipeline.runs(uri) if r.status == "succeeded"), None),
        "the run of the second drop",
        300,
    )
    pipeline.wait_until_idle()

    name = first.rpartition(":")[2]
    assert str(run.run_id) == name
    assert len(pipeline.detections(uri)) == run.detections
    statuses = {n: s for n, s in pipeline.executions().items() if n.startswith(name)}
    assert statuses.pop(name) == "ABORTED"
    assert list(statuses.values()) == ["SUCCEEDED"]


def running_execution(pipeline: Pipeline, uri: str) -> str | None:
    """The ARN of the execution that runs a scene."""
    states = pipeline.client("stepfunctions")
    arn = pipeline.machine.replace(":stateMachine:", ":execution:")
    for name, status in pipeline.executions().items():
        if status in RUNNING:
            about = states.describe_execution(executionArn=f"{arn}:{name}")
            if json.loads(about["input"])["scene"]["uri"] == uri:
                return str(about["executionArn"])
    return None


def is_waiting(pipeline: Pipeline, uri: str) -> bool:
    """Return True if the noted drop of a scene is later than the drop that started its run."""
    s3, bucket = pipeline.client("s3"), pipeline.outputs["WorkBucket"]
    for found in s3.list_objects_v2(Bucket=bucket, Prefix="scenes/").get("Contents", ()):
        body = s3.get_object(Bucket=bucket, Key=found["Key"])["Body"].read()
        note: dict[str, Any] = json.loads(body)
        if note["request"]["scene"]["uri"] == uri:
            return bool(note["sequencer"] != note["request"]["scene"]["sequencer"])
    return False
