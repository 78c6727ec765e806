"""Runs while Lambda refuses calls."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from local_cloud.faults.kinds import FunctionInactive, SlotsTaken, TimeLapse
from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]

INACTIVE = (
    FunctionInactive(function="StartRun", times=2),
    FunctionInactive(function="PlanScene", times=2),
    FunctionInactive(function="InferShard", error="ResourceConflictException", times=2),
    FunctionInactive(function="MergeDetections", times=2),
    FunctionInactive(function="LoadDetections", error="ResourceNotReadyException", times=2),
    FunctionInactive(function="PublishResults", times=2),
)


def test_a_run_survives_that_its_functions_have_been_idle_for_weeks(
    pipeline: Pipeline, tmp_path: Path
):
    with contextlib.ExitStack() as stack:
        faults = [stack.enter_context(pipeline.cloud.fault(fault)) for fault in INACTIVE]
        uri = pipeline.drop(write_scene(tmp_path / "x.tif", seed=21), "incoming/idle.tif")
        run = pipeline.wait(uri)
        pipeline.wait_until_idle()
        occurrences = [fault.occurrences for fault in faults]

    assert run.status == "succeeded", run.cause
    assert occurrences == [2] * len(INACTIVE)
    assert len(pipeline.runs(uri)) == 1


def test_a_function_that_is_never_ready_fails_its_run_after_ten_minutes(
    pipeline: Pipeline, tmp_path: Path
):
    # Ten minutes in a second.
    with (
        pipeline.cloud.fault(TimeLapse(factor=600)),
        pipeline.cloud.fault(FunctionInactive(function="PlanScene")) as fault,
    ):
        uri = pipeline.drop(write_scene(tmp_path / "x.tif", seed=27), "incoming/never-ready.tif")
        run = pipeline.wait(uri)
        occurrences = fault.occurrences

    assert (run.status, run.error) == ("failed", "Lambda.CodeArtifactUserPendingException")
    assert "initializing your function" in run.cause
    assert occurrences == 31, "the first call, and 30 retries 20 s apart"


def test_a_failure_is_recorded_though_the_function_that_does_so_has_been_idle_for_weeks(
    pipeline: Pipeline, tmp_path: Path
):
    scene = tmp_path / "bad.tif"
    scene.write_bytes(b"")
    with pipeline.cloud.fault(FunctionInactive(function="RecordFailure", times=2)) as fault:
        run = pipeline.wait(pipeline.drop(scene, "incoming/idle-and-bad.tif"))
        assert fault.occurrences == 2

    assert run.status == "failed"


def test_scenes_survive_that_the_account_has_one_slot_for_all_functions(
    pipeline: Pipeline, tmp_path: Path
):
    with pipeline.cloud.fault(SlotsTaken(slots=1)) as fault:
        uris = [
            pipeline.drop(
                write_scene(tmp_path / f"{n}.tif", seed=30 + n), f"incoming/throttled-{n}.tif"
            )
            for n in range(3)
        ]
        runs = [pipeline.wait(uri) for uri in uris]
        pipeline.wait_until_idle()
        occurrences = fault.occurrences

    assert {run.scene_uri: (run.status, run.cause) for run in runs} == dict.fromkeys(
        uris, ("succeeded", None)
    )
    assert occurrences > 3
