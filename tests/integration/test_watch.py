"""Lines of `swath local up` about scenes and runs, on the stack that all tests share."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from local_cloud.cloud import LocalCloud
from local_cloud.watch import INCOMING_PREFIX, Watcher
from swath.settings import StartRunSettings
from tests.integration.pipeline import Pipeline

pytestmark = [pytest.mark.cloud, pytest.mark.timeout(600)]


class Listener:
    """Gathers the lines of a watcher during one test."""

    def __init__(self, cloud: LocalCloud) -> None:
        self.watcher = Watcher(cloud)
        for _ in self.watcher.report_events():
            """Events of earlier tests are skipped."""
        self.lines: list[str] = []
        self._unread: list[str] = []

    def until(self, part: str) -> str:
        """Return the first line after the last one returned that holds this text."""
        deadline = time.monotonic() + 300
        while time.monotonic() < deadline:
            while self._unread:
                if part in (line := self._unread.pop(0)):
                    return line
            new = [*self.watcher.report_events()]
            self.lines += new
            self._unread += new
        raise AssertionError(f"no line contains {part}: {self.lines}")


@pytest.fixture
def listener(cloud: LocalCloud) -> Listener:
    return Listener(cloud)


@pytest.fixture
def scene(make_scene: Callable[..., str]) -> Path:
    return Path(make_scene(np.full((5, 60, 100), 200, np.uint16), name="watched"))


def test_the_watcher_has_the_prefix_of_start_run():
    fields = StartRunSettings.__dataclass_fields__

    assert fields["incoming_prefix"].default == INCOMING_PREFIX


def test_a_run_is_reported_from_its_start_to_its_end(
    pipeline: Pipeline, listener: Listener, scene: Path
):
    uri = pipeline.drop(scene, "incoming/watched.tif")
    start = listener.until(f"starts: ships on {uri}")
    run = start.split()[1]
    end = listener.until(f"run {run} succeeded after ")

    assert end.endswith(" detections")
    stages = [line.split(": ")[1] for line in listener.lines if line.startswith(f"run {run}: ")]
    assert stages
    assert set(stages) <= {"plan", "infer", "merge", "load", "publish", "announce"}
    assert [line for line in listener.watcher.report_events() if run in line] == []

    # The same bytes once more.
    pipeline.drop(scene, "incoming/watched.tif")
    assert "a run of this scene exists" in listener.until(uri)


def test_a_failed_run_is_reported_with_its_cause(
    pipeline: Pipeline, listener: Listener, scene: Path
):
    uri = pipeline.drop(scene, "incoming/planes/watched.tif")
    run = listener.until(f"starts: planes on {uri}").split()[1]

    end = listener.until(f"run {run} failed: ")

    assert "UnknownModelError: no model named 'planes' is deployed; the deployed " in end
    assert "ships" in end


def test_objects_that_start_no_run_are_named(pipeline: Pipeline, listener: Listener, scene: Path):
    uri = pipeline.drop(scene, "elsewhere/watched.tif")
    assert listener.until(uri).endswith(
        f"upload scenes to s3://{pipeline.scenes}/{INCOMING_PREFIX}"
    )

    uri = pipeline.drop(scene, "incoming/watched.tif.aux.xml")
    assert listener.until(uri) == f"{uri}: a file that accompanies a scene"
