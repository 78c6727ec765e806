"""Runs on Batch whose hosts and containers fail, or never come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from local_cloud.faults.kinds import (
    DockerTimeout,
    Fault,
    ImageNotPulled,
    JobOutOfMemory,
    NoCapacity,
    SpotReclaimed,
    TimeLapse,
)
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


def start(pipeline: Pipeline, folder: Path, name: str) -> str:
    """Start a run of one shard on Batch; the scene's URI."""
    scene = write_scene(folder / "scene.tif", seed=23)
    uri = pipeline.drop(scene, f"elsewhere/{name}.tif")
    pipeline.start(pipeline.request(uri, "batch"))
    return uri


SURVIVED: dict[str, Fault] = {
    "spot-host-reclaimed-container-first": SpotReclaimed(reported="container", times=1),
    "spot-host-reclaimed-host-first": SpotReclaimed(reported="host", times=1),
    "image-not-pulled": ImageNotPulled(times=1),
    "docker-timeout": DockerTimeout(times=1),
}


@pytest.mark.parametrize("name", SURVIVED)
def test_a_run_survives_the_fault_of_one_host(pipeline: Pipeline, tmp_path: Path, name: str):
    with pipeline.cloud.fault(SURVIVED[name]) as fault:
        run = pipeline.wait(start(pipeline, tmp_path, name))
        occurrences = fault.occurrences

    assert run.status == "succeeded", run.cause
    assert occurrences == 1


def test_a_job_out_of_memory_fails_its_run_at_once_with_the_cause(
    pipeline: Pipeline, tmp_path: Path
):
    with pipeline.cloud.fault(JobOutOfMemory()) as fault:
        run = pipeline.wait(start(pipeline, tmp_path, "out-of-memory"))
        occurrences = fault.occurrences

    assert run.status == "failed"
    assert "OutOfMemoryError" in run.cause
    assert "exit code 137" in run.cause
    assert occurrences == 1, "more attempts would only need as much"


def test_a_run_without_a_gpu_quota_fails_with_batchs_reason(pipeline: Pipeline, tmp_path: Path):
    hours = gpu_wait_hours(pipeline)
    with (
        pipeline.cloud.fault(TimeLapse(factor=hours * 3_600)),
        pipeline.cloud.fault(NoCapacity()) as fault,
    ):
        run = pipeline.wait(start(pipeline, tmp_path, "no-quota"))
        occurrences = fault.occurrences

    assert 1 <= hours <= 24
    assert run.status == "failed"
    assert "INSUFFICIENT_INSTANCE_CAPACITY" in run.cause
    assert occurrences == 1


def gpu_wait_hours(pipeline: Pipeline) -> float:
    """Return the hours that the deployed queue waits for a host."""
    template: Any = pipeline.client("cloudformation").get_template(StackName="swath")
    resources = template["TemplateBody"]["Resources"].values()
    (queue,) = (r["Properties"] for r in resources if r["Type"] == "AWS::Batch::JobQueue")
    (action,) = (
        action
        for action in queue["JobStateTimeLimitActions"]
        if action["Reason"] == NoCapacity().reason
    )
    return action["MaxTimeSeconds"] / 3_600
