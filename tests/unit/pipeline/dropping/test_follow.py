"""Tests of following: stages, shards, outcomes, and runs that never start."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from swath import storage
from swath.errors import RunIncompleteError
from swath.messages import ModelRef, RunOptions, RunRequest, SceneRef
from swath.pipeline.dropping.follow import MAX_START_SECONDS, RunFollower
from swath.pipeline.dropping.upload import DroppedScene
from swath.pipeline.latest_drop import LatestDrop
from swath.pipeline.run_report import RunReport
from swath.stack import Deployment

DROPPED_AT = datetime(2026, 11, 28, 12, tzinfo=UTC)
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:swath-runs"


class Machine:
    """Executions of a state machine, whose descriptions follow a script."""

    class exceptions:  # noqa: N801 (as boto3 names it)
        class ExecutionDoesNotExist(Exception):  # noqa: N818 (as boto3 names it)
            pass

    def __init__(self):
        self.script, self.state = [], None
        self.arns = set()

    def describe_execution(self, *, executionArn):  # noqa: N803 (as boto3 names it)
        self.arns.add(executionArn)
        if not self.script:
            raise self.exceptions.ExecutionDoesNotExist
        return self.script.pop(0) if len(self.script) > 1 else self.script[0]

    def get_execution_history(self, **_):
        entered = {"stateEnteredEventDetails": {"name": self.state}}
        return {"events": [{"type": "TaskScheduled"}, entered] if self.state else []}


class Clock:
    """Time that passes only while someone waits."""

    def __init__(self):
        self.now, self.hooks = 0.0, []

    def __call__(self):
        return self.now

    def wait(self, seconds):
        self.now += seconds
        if self.hooks:
            self.hooks.pop(0)()


@pytest.fixture
def world(http_bucket):
    return World(http_bucket)


class World:
    """One dropped scene, its stack and the follower of its run."""

    def __init__(self, bucket):
        self.bucket, self.machine, self.clock = bucket, Machine(), Clock()
        self.uri = f"{bucket}/incoming/ships/x.tif"
        name = bucket.removeprefix("s3://")
        outputs = {
            **dict.fromkeys(("ScenesBucket", "WorkBucket", "ResultsBucket"), name),
            "StateMachineArn": MACHINE,
        }
        self.follower = RunFollower(
            deployment=Deployment(stack="swath", region="eu-west-1", outputs=outputs),
            scene=DroppedScene(uri=self.uri, etag="abc", dropped_at=DROPPED_AT),
            model="ships",
            wait=self.clock.wait,
            clock=self.clock,
            sfn=self.machine,
        )

    def note(self, *, etag="abc", dropped_at=DROPPED_AT, execution="run-1"):
        """Write the note of a drop, as `start_run` does; return the id of its run."""
        request = RunRequest.new(
            scene=SceneRef(uri=self.uri, etag=etag, dropped_at=dropped_at.isoformat()),
            model=ModelRef(name="ships", uri="s3://models/ships.tar.gz", digest="d"),
            options=RunOptions(),
        )
        note = LatestDrop.from_request(request, execution)
        uri = LatestDrop.note_uri(self.bucket, request)
        storage.write_bytes(uri, json.dumps(note.to_json()).encode())
        return request.run_id

    def end(self, status="SUCCEEDED", **fields):
        return {"status": status, "stopDate": DROPPED_AT + timedelta(minutes=1), **fields}

    def run(self):
        """Follow the run to its end; return the progress and the outcome."""
        events, seen = self.follower.follow(), []
        while True:
            try:
                seen.append(next(events))
            except StopIteration as end:
                return seen, end.value


SUCCESS = {
    "merge": {"detections": 7, "warnings": ["x.tif is odd"]},
    "load": {"superseded": False},
    "publish": {"detections_uri": "s3://r/detections.parquet", "item_uri": "s3://r/item.json"},
}


def test_a_run_is_followed_through_its_stages(world):
    run_id = world.note()
    running = {"status": "RUNNING"}
    world.machine.script = [running] * 5 + [world.end(output=json.dumps(SUCCESS))]
    world.machine.state = "PlanScene"
    root = f"{world.bucket}/runs/{run_id}"

    def plan():
        storage.write_json(f"{root}/shards.json", [0, 1, 2])
        world.machine.state = "InferShardsOnLambda"

    def infer():
        for name in ("0.json", "0.parquet", "1.json", "2.partial.json", "12.samples.npy"):
            storage.write_bytes(f"{root}/shards/{name}", b"")

    def merge():
        world.machine.state = "MergeDetections"

    world.clock.hooks = [plan, infer, merge]

    seen, outcome = world.run()

    got = [(one.stage, one.done, one.total) for one in seen]
    assert got == [
        ("planning", 0, None),
        ("inferring", 0, 3),
        ("inferring", 2, 3),
        ("merging", 0, 3),
    ]
    assert {one.run_id for one in seen} == {run_id}
    assert outcome.succeeded
    assert (outcome.run_id, outcome.detections) == (run_id, 7)
    assert outcome.detections_uri == "s3://r/detections.parquet"
    assert outcome.warnings == ["x.tif is odd"]
    assert world.machine.arns == {MACHINE.replace("stateMachine", "execution") + ":run-1"}


def test_a_failure_has_the_cause_of_its_summary(world):
    run_id = world.note()
    world.machine.script = [world.end("FAILED", error="States.TaskFailed", cause="job failed")]

    def report():
        ended = (DROPPED_AT + timedelta(minutes=1)).isoformat(timespec="milliseconds")
        summary = RunReport(
            run_id=run_id, status="failed", scene=world.uri, model="ships",
            error="SceneError", cause="shard 3: it is damaged", ended_at=ended,
        )  # fmt: skip
        storage.write_bytes(
            f"{world.bucket}/runs/{run_id}/summary.json", summary.to_text().encode()
        )

    world.clock.hooks = [report]

    _, outcome = world.run()

    assert not outcome.succeeded
    assert outcome.cause == "SceneError: shard 3: it is damaged"


def test_a_failure_without_a_summary_has_the_cause_of_step_functions(world):
    world.note()
    world.machine.script = [world.end("TIMED_OUT")]

    _, outcome = world.run()

    assert not outcome.succeeded
    assert outcome.cause.startswith("TIMED_OUT")


def test_the_summary_of_an_earlier_failure_does_not_count(world):
    run_id = world.note()
    earlier = RunReport(
        run_id=run_id, status="failed", scene=world.uri, model="ships",
        error="OldError", cause="old", ended_at="2026-11-28T11:00:00.000+00:00",
    )  # fmt: skip
    storage.write_bytes(f"{world.bucket}/runs/{run_id}/summary.json", earlier.to_text().encode())
    world.machine.script = [world.end("FAILED", error="NewError", cause="new")]

    _, outcome = world.run()

    assert outcome.cause == "NewError: new"


def test_a_run_that_never_starts_is_an_error_after_a_time(world):
    with pytest.raises(RunIncompleteError, match=r"no run of .* started within 180 s"):
        world.run()

    assert world.clock.now >= MAX_START_SECONDS


def test_the_note_of_an_earlier_drop_is_not_followed(world):
    world.note(etag="older", dropped_at=DROPPED_AT - timedelta(hours=1), execution="run-0")
    world.clock.hooks = [lambda: world.note(execution="run-1")]
    world.machine.script = [world.end(output=json.dumps(SUCCESS))]

    seen, outcome = world.run()

    assert [one.stage for one in seen] == ["waiting for the run to start"]
    assert outcome.succeeded
    assert not any(arn.endswith("run-0") for arn in world.machine.arns)


def test_a_later_drop_of_other_bytes_is_named(world):
    world.note(etag="newer", dropped_at=DROPPED_AT + timedelta(minutes=5))

    with pytest.raises(RunIncompleteError, match="was replaced by a later drop"):
        world.run()


def test_a_superseded_run_says_so(world):
    world.note()
    output = {**SUCCESS, "load": {"superseded": True}}
    world.machine.script = [world.end(output=json.dumps(output))]

    _, outcome = world.run()

    assert outcome.is_superseded
