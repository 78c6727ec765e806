"""Plays a scenario on a deployed cloud and holds what comes of it to the rows without faults."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from local_cloud.faults.kinds import TimeLapse
from tests.local_cloud.chaos.oracle import Rows, comparable
from tests.local_cloud.chaos.scenarios import HANDLERS, SCENES, Scenario
from tests.local_cloud.pipeline import RUNNING, Pipeline, eventually
from tests.local_cloud.test_pipeline import object_created

FASTER = 20.0
"""Waits before retries; state limits of minutes must still outlast a shard."""
UNTRUE = "tolerated failure threshold"


@dataclass
class Played:
    """What came of a scenario."""

    statuses: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    healed: int = 0
    killed: int = 0
    wrong: list[str] = field(default_factory=list)


@contextlib.contextmanager
def small_shards(pipeline: Pipeline) -> Iterator[None]:
    """Let scenes of nine tiles have three shards, on every backend."""
    small = {"SWATH_LAMBDA_SHARD_TILES": "3", "SWATH_BATCH_SHARD_TILES": "3"}
    with configured(pipeline, "PlanScene", small):
        yield


@contextlib.contextmanager
def configured(pipeline: Pipeline, function: str, changes: dict[str, str]) -> Iterator[None]:
    """Let a function have other variables for a while."""
    functions = pipeline.client("lambda")
    (found,) = (
        about
        for about in functions.list_functions()["Functions"]
        if f"-{function}Function" in about["FunctionName"]
    )
    before = found["Environment"]["Variables"]

    def put(variables: dict[str, str]) -> None:
        functions.update_function_configuration(
            FunctionName=found["FunctionName"], Environment={"Variables": variables}
        )

    put(before | changes)
    try:
        yield
    finally:
        put(before)


def play(pipeline: Pipeline, scenes: list[tuple[Path, Rows]], scenario: Scenario) -> Played:
    """Play a scenario to its end, heal what failed, and compare."""
    played = Played()
    with (
        pipeline.cloud.fault(TimeLapse(factor=FASTER)),
        configured(pipeline, "StartRun", {"SWATH_BACKEND": scenario.backend}),
    ):
        with contextlib.ExitStack() as faults:
            for fault in scenario.faults:
                faults.enter_context(pipeline.cloud.fault(fault))
            content, lost = _drop_all(pipeline, scenes, scenario, played)
            for uri in content:
                if uri not in lost:
                    eventually(lambda: _newest(pipeline, uri), f"a run of {uri}", 150)  # noqa: B023
            pipeline.settle()
        for uri, scene in content.items():
            _judge(pipeline, uri, scenes[scene], scenario.backend, played)
    if left := [name for name, status in pipeline.executions().items() if status in RUNNING]:
        played.wrong.append(f"still running: {left}")
    return played


def _drop_all(
    pipeline: Pipeline,
    scenes: list[tuple[Path, Rows]],
    scenario: Scenario,
    played: Played,
) -> tuple[dict[str, int], set[str]]:
    """Drop the scenes, act; return each URI's scene, and the URIs whose event is lost."""
    content, lost = {}, set()
    for position, scene in enumerate(scenario.scenes):
        key = f"incoming/chaos-{scenario.seed}-{position}.tif"
        loses = position == 0 and any(action == "lose" for action, _ in scenario.actions)
        with _deaf(pipeline) if loses else contextlib.nullcontext():
            uri = pipeline.drop(scenes[scene][0], key)
        content[uri] = scene
        lost |= {uri} if loses else set()
    for action, number in scenario.actions:
        rng = random.Random(number)
        uri = rng.choice(list(content))
        if action == "replace":
            content[uri] = (content[uri] + 1) % SCENES
            pipeline.drop(scenes[content[uri]][0], uri.split("/", 3)[3])
            lost.discard(uri)
        elif action == "double":
            pipeline.client("events").put_events(Entries=[object_created(pipeline, uri)] * 2)
            lost.discard(uri)
        elif action == "kill":
            played.killed += _kill(pipeline, rng.choice(HANDLERS))
        elif action == "cut":
            _cut(pipeline)
        elif action in {"delete", "damage"} and uri not in lost:
            _spoil(pipeline, uri, rng, delete=action == "delete")
    return content, lost


@contextlib.contextmanager
def _deaf(pipeline: Pipeline) -> Iterator[None]:
    """Let EventBridge lose what S3 sends."""
    events = pipeline.client("events")
    names = [r["Name"] for r in events.list_rules()["Rules"] if r["State"] == "ENABLED"]
    for name in names:
        events.disable_rule(Name=name)
    try:
        yield
    finally:
        for name in names:
            events.enable_rule(Name=name)


def _kill(pipeline: Pipeline, handler: str) -> int:
    """Kill this cloud's processes of a function, as a host that fails does; return how many.

    Other clouds may run on the machine: only children of this one's server are touched.
    """
    processes = [p for p in Path("/proc").glob("[0-9]*") if _is(p, str(pipeline.cloud.folder))]
    servers = {int(p.name) for p in processes if _is(p, "local_cloud.server")}
    killed = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
            folder = str((process / "cwd").readlink())
            ours = parent in servers and _is(process, "awslambdaric")
            if ours and (handler in folder or _is(process, handler)):
                os.kill(int(process.name), signal.SIGKILL)
                killed += 1
    return killed


def _is(process: Path, word: str) -> bool:
    with contextlib.suppress(OSError):
        return word.encode() in (process / "cmdline").read_bytes()
    return False


def _cut(pipeline: Pipeline) -> None:
    """End every connection to the database, as its restart does."""
    with psycopg.connect(pipeline.cloud.dsn()) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"
        )


def _spoil(pipeline: Pipeline, uri: str, rng: random.Random, *, delete: bool) -> None:
    """Delete or damage one of the objects that a run of a scene has in the work bucket."""
    s3, bucket = pipeline.client("s3"), pipeline.outputs["WorkBucket"]

    def objects() -> list[str]:
        known = {str(run.run_id) for run in pipeline.query("SELECT run_id FROM swath.runs")}
        found = s3.list_objects_v2(Bucket=bucket, Prefix="runs/").get("Contents", [])
        return [o["Key"] for o in found if o["Key"].split("/")[1] not in known]

    def some() -> list[str]:
        return objects() or (["none"] if pipeline.runs(uri) else [])

    key = rng.choice(eventually(some, "an object to spoil", 60))
    if delete:
        s3.delete_object(Bucket=bucket, Key=key)
    elif key != "none":
        s3.put_object(Bucket=bucket, Key=key, Body=b"damaged")


def _newest(pipeline: Pipeline, uri: str) -> Any:
    """The last recorded run of a scene's present content, or None."""
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    etag = pipeline.client("s3").head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    runs = [run for run in pipeline.runs(uri) if run.scene_etag == etag]
    return runs[-1] if runs else None


def _judge(
    pipeline: Pipeline, uri: str, scene: tuple[Path, Rows], backend: str, played: Played
) -> None:
    path, rows = scene
    run = _newest(pipeline, uri)
    played.statuses.append(run.status if run else "lost")
    if run and run.status == "succeeded" and run.backend != backend:
        played.wrong.append(f"{uri} ran on {run.backend}, not on {backend}")
    if run and run.status not in {"succeeded", "failed"}:
        played.wrong.append(f"{uri} is {run.status}")
    if run and run.status == "failed":
        played.causes.append(f"{run.error}: {run.cause}"[:300])
        if not run.cause or UNTRUE in run.cause:
            played.wrong.append(f"{uri} failed without a true cause: {run.error}: {run.cause}")
    if run is None or run.status != "succeeded":
        pipeline.drop(path, uri.split("/", 3)[3])
        eventually(
            lambda: (r := _newest(pipeline, uri)) and (not run or r.ended_at > run.ended_at),
            f"a second run of {uri}",
            150,
        )
        pipeline.settle()
        again = _newest(pipeline, uri)
        if again.status != "succeeded":
            played.wrong.append(f"{uri} was not healed: {again.error}: {again.cause}")
        played.healed += again.status == "succeeded"
    found = comparable((d.label, d.score, d.wkb) for d in pipeline.detections(uri))
    if found != rows:
        played.wrong.append(f"{uri} has {len(found)} rows; without faults {len(rows)}")
