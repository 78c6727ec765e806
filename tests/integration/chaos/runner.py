"""Plays a scenario on a deployed cloud and holds what comes of it to the rows without faults."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local_cloud.faults.kinds import TimeLapse
from tests.integration.chaos import actions, causes
from tests.integration.chaos.oracle import Rows, comparable
from tests.integration.chaos.scenarios import HANDLERS, SCENES, WORKERS, Scenario
from tests.integration.pipeline import RUNNING, Pipeline, eventually
from tests.integration.test_pipeline import object_created

FASTER = 60.0
"""Waits before retries; state limits of minutes must still outlast a shard."""
_WAIT = 300.0
_SMALL = {
    **{f"SWATH_{kind}_SHARD_TILES": "3" for kind in ("LAMBDA", "ENDPOINT", "ASYNC")},
    "SWATH_BATCH_SHARD_TILES": "5",  # every job is a process that loads the model anew
}


@dataclass
class Outcome:
    """Outcome of a scenario."""

    statuses: list[str] = field(default_factory=list)
    causes: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    healed: int = 0
    killed: int = 0
    wrong: list[str] = field(default_factory=list)


def words(scenario: Scenario, outcome: Outcome) -> Iterator[str]:
    """Yield the terms of a scenario and of its outcome, to be counted."""
    yield f"backend {scenario.backend}"
    yield from (f"fault {type(fault).__name__}" for fault in scenario.faults)
    yield from (f"action {action}" for action, _ in scenario.actions)
    yield from (f"run {status}" for status in outcome.statuses)
    yield from ["process killed"] * outcome.killed
    yield from ["run healed"] * outcome.healed
    yield from (f"cause {cause[:160]}" for cause in outcome.causes)
    yield f"scenario {'wrong' if outcome.wrong else 'right'}"


@contextlib.contextmanager
def small_shards(pipeline: Pipeline) -> Iterator[None]:
    """Let scenes of nine tiles have two or three shards, on every backend."""
    with configured(pipeline, "PlanScene", _SMALL):
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


def play(pipeline: Pipeline, scenes: list[tuple[Path, Rows]], scenario: Scenario) -> Outcome:
    """Play a scenario to its end, heal what failed, and compare."""
    outcome = Outcome()
    with (
        pipeline.cloud.fault(TimeLapse(factor=FASTER)),
        configured(pipeline, "StartRun", {"SWATH_BACKEND": scenario.backend}),
    ):
        with contextlib.ExitStack() as faults:
            for fault in scenario.faults:
                faults.enter_context(pipeline.cloud.fault(fault))
            content, lost = _drop_all(pipeline, scenes, scenario, outcome)
            for uri in content:
                if uri not in lost:
                    eventually(lambda: _newest(pipeline, uri), f"a run of {uri}", _WAIT)  # noqa: B023
            pipeline.wait_until_idle()
        for uri, scene in content.items():
            _check_scenes(pipeline, uri, scenes[scene], scenario, outcome)
    if left := [name for name, status in pipeline.executions().items() if status in RUNNING]:
        outcome.wrong.append(f"still running: {left}")
    return outcome


def _drop_all(
    pipeline: Pipeline,
    scenes: list[tuple[Path, Rows]],
    scenario: Scenario,
    outcome: Outcome,
) -> tuple[dict[str, int], set[str]]:
    """Drop the scenes, act; return each URI's scene, and the URIs whose event is lost."""
    content, lost = {}, set()
    for position, scene in enumerate(scenario.scenes):
        key = f"incoming/chaos-{scenario.seed}-{position}.tif"
        loses = position == 0 and any(action == "lose" for action, _ in scenario.actions)
        with actions.without_notifications(pipeline) if loses else contextlib.nullcontext():
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
        elif action == "kill" and set(content) - lost:
            workers = WORKERS[scenario.backend]
            outcome.killed += actions.kill(pipeline, rng.choice([*HANDLERS, *(5 * workers)]))
        elif action == "cut":
            actions.cut_connections(pipeline)
        elif action in {"delete", "damage"} and uri not in lost:
            outcome.damaged.append(
                actions.damage_object(pipeline, uri, rng, delete=action == "delete")
            )
    return content, lost


def _newest(pipeline: Pipeline, uri: str) -> Any:
    """The last recorded run of a scene's present content, or None."""
    bucket, key = uri.removeprefix("s3://").split("/", 1)
    etag = pipeline.client("s3").head_object(Bucket=bucket, Key=key)["ETag"].strip('"')
    runs = [run for run in pipeline.runs(uri) if run.scene_etag == etag]
    return runs[-1] if runs else None


def _check_scenes(
    pipeline: Pipeline, uri: str, scene: tuple[Path, Rows], scenario: Scenario, outcome: Outcome
) -> None:
    path, rows = scene
    run = _newest(pipeline, uri)
    outcome.statuses.append(run.status if run else "lost")
    if run:
        _check_run(run, uri, scenario, outcome)
    if run is None or run.status != "succeeded":
        pipeline.drop(path, uri.split("/", 3)[3])
        eventually(
            lambda: (r := _newest(pipeline, uri)) and (not run or r.ended_at > run.ended_at),
            f"a second run of {uri}",
            _WAIT,
        )
        pipeline.wait_until_idle()
        again = _newest(pipeline, uri)
        if again.status != "succeeded":
            outcome.wrong.append(f"{uri} was not healed: {again.error}: {again.cause}")
        outcome.healed += again.status == "succeeded"
    found = comparable((d.label, d.score, d.wkb) for d in pipeline.detections(uri))
    if found != rows:
        outcome.wrong.append(f"{uri} has {len(found)} rows; without faults {len(rows)}")


def _check_run(run: Any, uri: str, scenario: Scenario, outcome: Outcome) -> None:
    if run.status not in {"succeeded", "failed"}:
        outcome.wrong.append(f"{uri} is {run.status}")
    if run.status == "succeeded" and run.backend != scenario.backend:
        outcome.wrong.append(f"{uri} ran on {run.backend}, not on {scenario.backend}")
    if run.status == "failed":
        said = f"{run.error}: {run.cause}"
        outcome.causes.append(said[:300])
        if not causes.is_true(scenario, said, outcome.damaged):
            outcome.wrong.append(f"{uri} failed without a true cause: {said}")
