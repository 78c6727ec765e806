"""The database while it is paused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local_cloud.faults.kinds import DataApiResuming, DatabasePaused
from tests.local_cloud.pipeline import Pipeline
from tests.local_cloud.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


def test_a_run_survives_that_the_database_is_paused(pipeline: Pipeline, tmp_path: Path):
    with pipeline.cloud.fault(DatabasePaused(seconds=15, refused=1)) as fault:
        uri = pipeline.drop(write_scene(tmp_path / "x.tif", seed=22), "incoming/paused.tif")
        run = pipeline.wait(uri)
        met = fault.met

    assert run.status == "succeeded", run.cause
    assert met == 2, "a connection that is refused, then one that is held"


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
        met = fault.met

    assert "FunctionError" not in answer, done
    assert done["statements"] > 0
    assert met == 3
