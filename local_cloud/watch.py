"""Follow a local cloud for its user: report each event of a scene in one line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.cloud import LocalCloud
from local_cloud.demo.follow import Ended, Follower, Progress

INCOMING = "incoming/"
"""Prefix in the scenes bucket below which scenes are dropped."""
_UNSTARTED = {
    "duplicate": "its run is there or under way already; nothing starts",
    "ignored": "it is no scene; nothing starts",
}


@dataclass(slots=True)
class _Run:
    """Lines printed about a run so far."""

    scene: str
    said: str = ""
    ended: bool = False


@dataclass(slots=True)
class Watcher:
    """Watcher that reports the news of a deployed local cloud since the previous call."""

    cloud: LocalCloud
    _keys: set[str] = field(default_factory=set)
    _runs: dict[str, _Run] = field(default_factory=dict)
    _read: dict[Path, int] = field(default_factory=dict)

    def news(self) -> Iterator[str]:
        """Yield a line for each new scene and each new stage of a run."""
        yield from self._astray()
        yield from self._unstarted()
        yield from self._progress()

    def _astray(self) -> Iterator[str]:
        """Yield a line for each new object of the scenes bucket that starts no run."""
        bucket = self.cloud.outputs["ScenesBucket"]
        pages = self.cloud.client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket)
        keys = {item["Key"] for page in pages for item in page.get("Contents", [])}
        for key in sorted(keys - self._keys):
            if not key.startswith(INCOMING):
                yield (
                    f"s3://{bucket}/{key}: nothing happens for it; scenes are dropped below "
                    f"s3://{bucket}/{INCOMING}"
                )
        self._keys = keys

    def _unstarted(self) -> Iterator[str]:
        """Yield a line for each scene for which `start_run` logged that it starts no run."""
        for path in sorted(self.cloud.logs.glob("lambda-*-StartRun*.log")):
            with path.open("rb") as log:
                log.seek(self._read.get(path, 0))
                # An incomplete last line is read the next time.
                whole = log.read().rpartition(b"\n")[0]
            self._read[path] = self._read.get(path, 0) + len(whole) + bool(whole)
            for line in whole.splitlines():
                yield from _unstarted(line)

    def _progress(self) -> Iterator[str]:
        machine = self.cloud.outputs["StateMachineArn"]
        machines, follower = self.cloud.client("stepfunctions"), Follower(self.cloud)
        for execution in reversed(machines.list_executions(stateMachineArn=machine)["executions"]):
            name, arn = execution["name"], execution["executionArn"]
            if name not in self._runs:
                about = machines.describe_execution(executionArn=arn)
                request = json.loads(about["input"])
                self._runs[name] = _Run(request["scene"]["uri"])
                yield f"run {name} starts: {request['model']['name']} on {request['scene']['uri']}"
            run = self._runs[name]
            if not run.ended:
                progress, ended = follower.look(arn)
                yield from _going_on(name, run, progress)
                if ended:
                    run.ended = True
                    yield _end(ended, progress)


def _unstarted(line: bytes) -> Iterator[str]:
    try:
        entry: Any = json.loads(line)
        outcome, reason = entry["outcome"], entry.get("reason")
        if entry["event_type"] == "Object Created" and outcome in _UNSTARTED:
            yield f"{entry['uri']}: {reason or _UNSTARTED[outcome]}"
    except (ValueError, KeyError, TypeError):
        return


def _going_on(name: str, run: _Run, progress: Progress) -> Iterator[str]:
    """Yield a line if a run has entered another stage, or completed more of its shards."""
    stage = next((stage.name for stage in progress.stages if stage.seconds is None), "")
    shards = f": {progress.receipts} of {progress.shards} shards" if stage == "infer" else ""
    if stage and f"{stage}{shards}" != run.said:
        run.said = f"{stage}{shards}"
        yield f"run {name}: {run.said}"


def _end(ended: Ended, progress: Progress) -> str:
    seconds = sum(stage.seconds or 0 for stage in progress.stages)
    if ended.status != "SUCCEEDED":
        return f"run {ended.run_id} {ended.status.lower()}: {ended.error}: {ended.cause}"
    detections = ended.output["merge"]["detections"]
    return f"run {ended.run_id} succeeded after {seconds:.0f} s: {detections} detections"
