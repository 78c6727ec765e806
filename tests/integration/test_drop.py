"""`swath drop --follow` on the deployed stack, as a person at a terminal has it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.integration.pipeline import Pipeline
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


def swath(pipeline: Pipeline, *words: object) -> subprocess.CompletedProcess[str]:
    """Run the command as the administrator of the local cloud."""
    cloud = pipeline.cloud
    environment = {**os.environ, **cloud.administrator, "AWS_ENDPOINT_URL": cloud.endpoint}
    environment.pop("AWS_SESSION_TOKEN", None)
    command = Path(sys.executable).with_name("swath")
    return subprocess.run(
        [command, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )


def test_a_run_is_followed_to_its_detections(pipeline: Pipeline, tmp_path: Path):
    scene = write_scene(tmp_path / "followed.tif", seed=91)

    ran = swath(pipeline, "drop", scene, "--model", "ships", "--follow")

    assert ran.returncode == 0, ran.stderr
    uri, run, result = ran.stdout.splitlines()
    assert uri == f"s3://{pipeline.scenes}/incoming/ships/followed.tif"
    row = pipeline.wait(uri)
    assert run == f"run {row.run_id}"
    assert f"{row.detections:,} detection" in result
    assert result.endswith(f"s3://{pipeline.results}/runs/{row.run_id}/detections.parquet")


def test_a_failed_run_has_its_cause_and_an_exit_code(pipeline: Pipeline, tmp_path: Path):
    path = tmp_path / "damaged.tif"
    path.write_bytes(b"no raster")

    ran = swath(pipeline, "drop", path, "--model", "ships", "--follow")

    assert ran.returncode == 1
    assert "failed: SceneError: " in ran.stderr
    assert "damaged.tif" in ran.stderr


def test_what_cannot_run_is_refused_before_the_upload(pipeline: Pipeline, tmp_path: Path):
    scene = write_scene(tmp_path / "unused.tif", seed=92)

    unknown = swath(pipeline, "drop", scene, "--model", "planes")
    absent = swath(pipeline, "drop", scene, "--stack", "absent")

    assert (unknown.returncode, absent.returncode) == (2, 2)
    assert "the stack 'swath' has no model 'planes'; its models are ships" in unknown.stderr
    assert "there is no stack 'absent'" in absent.stderr
    listed = pipeline.client("s3").list_objects_v2(Bucket=pipeline.scenes, Prefix="incoming/ships/")
    assert "unused" not in " ".join(entry["Key"] for entry in listed.get("Contents", []))
