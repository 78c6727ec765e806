"""Follow the run of a dropped scene, by the notes and receipts in the work bucket.

Only the user's own permissions are used. A run needs no follower: it goes on if this one ends.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import boto3

from swath import storage
from swath.errors import PayloadError, RunIncompleteError
from swath.messages import ModelRef, RunOptions, RunRequest, SceneRef
from swath.messages.failure_cause import format_cause
from swath.messages.versions import SceneVersion
from swath.pipeline.latest_drop import LatestDrop
from swath.pipeline.paths import RunPaths
from swath.pipeline.run_report import RunReport, results_folder
from swath.storage.output_folder import SUMMARY

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

    from swath.pipeline.dropping.upload import DroppedScene
    from swath.stack import Deployment

MAX_START_SECONDS = 180.0
"""Time in s within which a run must start; the event of a drop takes seconds."""
MAX_CAUSE_SECONDS = 60.0
"""Time in s to wait for the cause of a failed run, which another function determines."""
POLL_SECONDS = 2.0
"""Time in s between two requests for the state of a run, unless listing receipts takes longer."""
_LISTING_SHARE = 0.1
"""Largest share of the time that listing receipts may take."""
_RUNNING = {"RUNNING", "PENDING_REDRIVE"}
_RECEIPT = re.compile(r"/\d+\.json")
_SAME_DROP = timedelta(seconds=2)
"""Time by which an event's time of the drop may precede that of the object, in whole seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunProgress:
    """Progress of a run."""

    stage: str
    """Stage of the run, such as `inferring`."""
    run_id: str = ""
    """Id of the run; empty until it has started."""
    done: int = 0
    """Number of finished shards."""
    total: int | None = None
    """Number of shards; None until the run is planned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOutcome:
    """End of a run."""

    run_id: str
    succeeded: bool
    detections: int = 0
    detections_uri: str = ""
    """Address of the GeoParquet file; empty if the run failed."""
    item_uri: str = ""
    """Address of the STAC Item; empty if the run failed."""
    is_superseded: bool = False
    """Whether the database has a later version of the scene, so this run was not loaded."""
    warnings: list[str] = field(default_factory=list)
    cause: str = ""
    """Cause of a failure in one line."""


@dataclass(slots=True, kw_only=True)
class RunFollower:
    """Follower of the run of one dropped scene."""

    deployment: Deployment
    scene: DroppedScene
    model: str
    """Name of the deployed model."""
    wait: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    sfn: SFNClient = field(default_factory=lambda: boto3.client("stepfunctions"))

    def follow(self) -> Generator[RunProgress, None, RunOutcome]:
        """Yield the progress of the run, and return its outcome.

        Raises:
            RunIncompleteError: No run started in time, or a later drop replaced the scene.
            botocore.exceptions.ClientError: The user lacks a permission.
            TransientError: S3 failed, and a retry can succeed.
        """
        note = yield from self._await_start()
        run_id = note.request.run_id
        execution = f"{self._executions_arn}:{note.execution}"
        total: int | None = None
        while True:
            description = self.sfn.describe_execution(executionArn=execution)
            if description["status"] not in _RUNNING:
                return self._outcome(run_id, {**description})
            total = self._count_shards(run_id) if total is None else total
            stage = self._stage(execution, is_planned=total is not None)
            started = self.clock()
            done = self._count_receipts(run_id) if total and stage == _INFERRING else 0
            listing = self.clock() - started
            yield RunProgress(stage=stage, run_id=run_id, done=done, total=total)
            self.wait(max(POLL_SECONDS, listing / _LISTING_SHARE))

    @property
    def _executions_arn(self) -> str:
        return self.deployment.state_machine_arn.replace(":stateMachine:", ":execution:")

    def _await_start(self) -> Generator[RunProgress, None, LatestDrop]:
        """Yield until the note of the drop is there, and return it."""
        uri = LatestDrop.note_uri(self.deployment.work_uri, self._request())
        deadline = self.clock() + MAX_START_SECONDS
        while self.clock() < deadline:
            note, _ = LatestDrop.read(uri)
            if note and self._is_ours(note) and self._exists(note.execution):
                return note
            yield RunProgress(stage="waiting for the run to start")
            self.wait(POLL_SECONDS)
        raise RunIncompleteError(
            f"no run of {self.scene.uri} started within {MAX_START_SECONDS:.0f} s; look for its "
            "cause in the log of the function StartRun, or drop the scene again"
        )

    def _request(self) -> RunRequest:
        """Return a request with the identity of the scene, by which its note is named."""
        scene = SceneRef(
            uri=self.scene.uri,
            etag=self.scene.etag,
            dropped_at=self.scene.dropped_at.isoformat(),
            scene_id=self.scene.scene_id,
        )
        model = ModelRef(name=self.model, uri="", digest="")
        return RunRequest.new(scene=scene, model=model, options=RunOptions())

    def _is_ours(self, note: LatestDrop) -> bool:
        """Return whether a note is that of this drop.

        Raises:
            RunIncompleteError: The note is that of a later drop of other bytes.
        """
        ours = SceneVersion.from_request(self._request()).dropped_at
        if note.version.dropped_at < ours - _SAME_DROP:
            return False
        scene = note.request.scene
        if scene.etag == self.scene.etag:
            return True
        if note.version.dropped_at <= ours + _SAME_DROP:
            return False
        raise RunIncompleteError(
            f"{self.scene.uri} was replaced by a later drop of {scene.uri}, whose run is "
            f"{note.request.run_id}"
        )

    def _exists(self, execution: str) -> bool:
        try:
            self.sfn.describe_execution(executionArn=f"{self._executions_arn}:{execution}")
        except self.sfn.exceptions.ExecutionDoesNotExist:
            return False
        return True

    def _stage(self, execution: str, *, is_planned: bool) -> str:
        """Return the stage of a running execution, from the last state that it entered."""
        first = _INFERRING if is_planned else _PLANNING
        history = self.sfn.get_execution_history(
            executionArn=execution, reverseOrder=True, maxResults=_HISTORY_EVENTS
        )
        for event in history["events"]:
            name = event.get("stateEnteredEventDetails", {}).get("name", "")
            if name:
                return next(
                    (stage for prefix, stage in _STAGES.items() if name.startswith(prefix)), first
                )
        return first

    def _count_shards(self, run_id: str) -> int | None:
        """Return the number of shards; None if the run is not planned yet."""
        try:
            return len(storage.read_json(self._paths(run_id).shard_list))
        except FileNotFoundError:
            return None

    def _count_receipts(self, run_id: str) -> int:
        """Return the number of shards that have a receipt."""
        bucket, prefix = storage.split_s3(f"{self._paths(run_id).root}/shards/")
        pages = storage.s3().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        keys = (entry["Key"] for page in pages for entry in page.get("Contents", []))
        return sum(_RECEIPT.fullmatch(key[len(prefix) - 1 :]) is not None for key in keys)

    def _paths(self, run_id: str) -> RunPaths:
        return RunPaths(self.deployment.work_uri, run_id)

    def _outcome(self, run_id: str, description: dict[str, Any]) -> RunOutcome:
        if description["status"] != "SUCCEEDED":
            return RunOutcome(
                run_id=run_id, succeeded=False, cause=self._cause(run_id, description)
            )
        output = json.loads(description.get("output") or "{}")
        merge, publish = output.get("merge", {}), output.get("publish", {})
        return RunOutcome(
            run_id=run_id,
            succeeded=True,
            detections=merge.get("detections", 0),
            detections_uri=publish.get("detections_uri", ""),
            item_uri=publish.get("item_uri", ""),
            is_superseded=output.get("load", {}).get("superseded", False),
            warnings=merge.get("warnings", []),
        )

    def _cause(self, run_id: str, description: dict[str, Any]) -> str:
        """Return the cause of a failure: from the run's summary, else from Step Functions."""
        uri = storage.join(results_folder(self.deployment.results_uri, run_id), SUMMARY)
        stopped = description["stopDate"].isoformat()
        deadline = self.clock() + MAX_CAUSE_SECONDS
        while self.clock() < deadline:
            report = _read_report(uri)
            if report and report.cause and (report.ended_at or "") >= stopped[:_SECONDS]:
                return f"{report.error}: {report.cause}" if report.error else report.cause
            self.wait(POLL_SECONDS)
        cause = format_cause(description.get("cause"), status=description["status"])
        return f"{description.get('error') or description['status']}: {cause}"


_PLANNING, _INFERRING = "planning", "inferring"
_STAGES = {
    "MergeDetections": "merging",
    "LoadDetections": "loading into the database",
    "PublishResults": "publishing",
    "AnnounceRun": "publishing",
}
"""Stages of a run by the beginning of the name of its state."""
_HISTORY_EVENTS = 20
"""Number of the last events that are searched for the state of a run."""
_SECONDS = len("2026-11-28T12:00:00")
"""Length of a time in whole seconds, ISO 8601."""


def _read_report(uri: str) -> RunReport | None:
    try:
        return RunReport.from_json(storage.read_json(uri))
    except (FileNotFoundError, ValueError, PayloadError):
        return None
