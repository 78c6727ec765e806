"""Runs on the asynchronous endpoint whose requests expire in its queue."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_cloud.faults.kinds import RequestExpired, TimeLapse
from tests.integration.pipeline import Pipeline, eventually
from tests.integration.test_pipeline import write_scene

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(900)]


def start(pipeline: Pipeline, folder: Path, name: str) -> str:
    """Start a run of one shard on the asynchronous endpoint; the scene's URI."""
    uri = pipeline.drop(write_scene(folder / "x.tif", seed=24), f"elsewhere/{name}.tif")
    pipeline.start(pipeline.request(uri, "sagemaker-async"))
    return uri


def test_a_run_survives_that_a_request_expires_and_the_topic_is_notified(
    pipeline: Pipeline, tmp_path: Path
):
    with pipeline.cloud.fault(RequestExpired(notified=True, times=1)) as fault:
        run = pipeline.wait(start(pipeline, tmp_path, "expired-notified"))
        occurrences = fault.occurrences

    assert run.status == "succeeded", run.cause
    assert occurrences == 1


def test_a_run_survives_that_a_request_expires_without_a_notification(
    pipeline: Pipeline, tmp_path: Path
):
    with pipeline.cloud.fault(RequestExpired(notified=False, times=1)) as fault:
        # Two hours and five minutes in three seconds: until the state is tried again.
        with pipeline.cloud.fault(TimeLapse(factor=2_500)):
            uri = start(pipeline, tmp_path, "expired-silent")
            eventually(lambda: fault.occurrences, "the request to expire")
        run = pipeline.wait(uri)
        occurrences = fault.occurrences

    assert run.status == "succeeded", run.cause
    assert occurrences == 1
