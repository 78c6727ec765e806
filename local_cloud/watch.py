"""Follow a local cloud for its user: report each event of a scene in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.cloud import LocalCloud
from local_cloud.run_follower import RunFollower, RunProgress, RunResult

INCOMING_PREFIX = "incoming/"
"""Prefix in the scenes bucket below which scenes are dropped."""
_SKIP_REASONS = {
    "duplicate": "a run of this scene exists already; no other run starts",
    "ignored": "this object is not a scene; no run starts",
}


@dataclass(slots=True)
class _Run:
    """Lines printed about a run so far."""

    scene: str
    last_line: str = ""
    is_finished: bool = False


@dataclass(slots=True)
class Watcher:
    """Watcher that reports the events of a deployed local cloud since the previous call."""

    cloud: LocalCloud
    _keys: set[str] = field(default_factory=set)
    _runs: dict[str, _Run] = field(default_factory=dict)
    _log_offsets: dict[Path, int] = field(default_factory=dict)

    def report_events(self) -> Iterator[str]:
        """Yield a line for each new scene and each new stage of a run."""
        yield from self._report_other_objects()
        yield from self._report_skipped_scenes()
        yield from self._report_runs()

    def _report_other_objects(self) -> Iterator[str]:
        """Yield a line for each new object of the scenes bucket that starts no run."""
        bucket = self.cloud.outputs["ScenesBucket"]
        pages = self.cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = {item["Key"] for page in pages for item in page.get("Contents", [])}
        for key in sorted(keys - self._keys):
            if not key.startswith(INCOMING_PREFIX):
                yield (
                    f"s3://{bucket}/{key}: no run starts for this object; upload scenes to "
                    f"s3://{bucket}/{INCOMING_PREFIX}"
                )
        self._keys = keys

    def _report_skipped_scenes(self) -> Iterator[str]:
        """Yield a line for each scene for which `start_run` logged that it starts no run."""
        for path in sorted(self.cloud.logs.glob("lambda-*-StartRun*.log")):
            with path.open("rb") as log:
                log.seek(self._log_offsets.get(path, 0))
                # An incomplete last line is read the next time.
                complete = log.read().rpartition(b"\n")[0]
            self._log_offsets[path] = (
                self._log_offsets.get(path, 0) + len(complete) + bool(complete)
            )
            for line in complete.splitlines():
                yield from _explain_skip(line)

    def _report_runs(self) -> Iterator[str]:
        machine = self.cloud.outputs["StateMachineArn"]
        machines, follower = self.cloud.client("stepfunctions"), RunFollower(self.cloud)
        for execution in reversed(machines.list_executions(stateMachineArn=machine)["executions"]):
            name, arn = execution["name"], execution["executionArn"]
            if name not in self._runs:
                description = machines.describe_execution(executionArn=arn)
                request = json.loads(description["input"])
                self._runs[name] = _Run(request["scene"]["uri"])
                yield f"run {name} starts: {request['model']['name']} on {request['scene']['uri']}"
            run = self._runs[name]
            if not run.is_finished:
                progress, result = follower.poll(arn)
                yield from _report_stage(name, run, progress)
                if result:
                    run.is_finished = True
                    yield _describe_result(result, progress)


def _explain_skip(line: bytes) -> Iterator[str]:
    try:
        entry: Any = json.loads(line)
        outcome, reason = entry["outcome"], entry.get("reason")
        if entry["event_type"] == "Object Created" and outcome in _SKIP_REASONS:
            yield f"{entry['uri']}: {reason or _SKIP_REASONS[outcome]}"
    except (ValueError, KeyError, TypeError):
        return


def _report_stage(name: str, run: _Run, progress: RunProgress) -> Iterator[str]:
    """Yield a line if a run has entered another stage, or completed more of its shards."""
    stage = next((stage.name for stage in progress.stages if stage.seconds is None), "")
    shards = f": {progress.receipts} of {progress.shards} shards" if stage == "infer" else ""
    if stage and f"{stage}{shards}" != run.last_line:
        run.last_line = f"{stage}{shards}"
        yield f"run {name}: {run.last_line}"


def _describe_result(result: RunResult, progress: RunProgress) -> str:
    seconds = sum(stage.seconds or 0 for stage in progress.stages)
    if result.status != "SUCCEEDED":
        return f"run {result.run_id} {result.status.lower()}: {result.error}: {result.cause}"
    detections = result.output["merge"]["detections"]
    return f"run {result.run_id} succeeded after {seconds:.0f} s: {detections} detections"
