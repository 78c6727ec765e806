"""What a drop leads to. Step Functions is played by an object that keeps its rules of names."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath import storage
from swath.payloads import PLAN_VERSION, ModelRef, RunRequest
from swath.settings import StartRunSettings
from swath.start import Drop, start_run
from swath.storage import RunPaths

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CATALOGUE = {"ships": ModelRef(name="ships", uri="s3://models/ships.tar.gz", digest="d")}
MACHINE = "arn:aws:states:eu-west-1:123456789012:stateMachine:swath"


class TakenError(Exception):
    pass


class NotRedrivableError(Exception):
    pass


class States:
    """Step Functions: names are taken once; the test says how executions end."""

    exceptions = SimpleNamespace(
        ExecutionAlreadyExists=TakenError, ExecutionNotRedrivable=NotRedrivableError
    )

    def __init__(self):
        self.now = NOON
        self.executions = {}
        self.redriven = []
        self.redrivable = True

    def start_execution(self, *, name, **parameters):
        assert parameters["stateMachineArn"] == MACHINE
        if name in self.executions:
            raise TakenError
        execution = {"status": "RUNNING", "startDate": self.now, "input": parameters["input"]}
        self.executions[name] = execution

    def describe_execution(self, **parameters):
        return dict(self.executions[self._name(**parameters)])

    def redrive_execution(self, **parameters):
        name = self._name(**parameters)
        if self.executions[name]["status"] not in {"FAILED", "TIMED_OUT", "ABORTED"}:
            raise NotRedrivableError
        self.redriven.append(name)
        self.executions[name]["status"] = "RUNNING"

    def end(self, name, status="SUCCEEDED"):
        redrive = "NOT_REDRIVABLE" if status == "SUCCEEDED" or not self.redrivable else "REDRIVABLE"
        self.executions[name] |= {
            "status": status,
            "stopDate": self.now,
            "redriveStatus": redrive,
        }

    @staticmethod
    def _name(**parameters):
        machine, _, name = parameters["executionArn"].rpartition(":")
        assert machine == MACHINE.replace(":stateMachine:", ":execution:")
        return name


class Bucket:
    """Drops on one key, and what start_run makes of them; the clock goes on by itself."""

    def __init__(self, work):
        self.states = States()
        self.settings = StartRunSettings(
            state_machine_arn=MACHINE, catalogue_uri="", default_model="ships", work_uri=work
        )

    def wait(self, seconds):
        self.states.now += timedelta(seconds=seconds)

    def drop(self, etag="a", key="incoming/x.tif", size=9):
        self.wait(10)
        at = self.states.now.replace(microsecond=0).isoformat()
        event = Drop(bucket="scenes", key=key, etag=etag, size=size, at=at)
        self.wait(1.5)
        return event

    def handle(self, event):
        return start_run(event, settings=self.settings, catalogue=CATALOGUE, states=self.states)


@pytest.fixture
def bucket(tmp_path):
    return Bucket(str(tmp_path))


def test_a_drop_starts_an_execution_named_after_its_run(bucket):
    summary = bucket.handle(bucket.drop())

    assert summary.outcome == "started"
    assert summary.execution == summary.run_id
    request = RunRequest.from_json(json.loads(bucket.states.executions[summary.run_id]["input"]))
    assert request.run_id == summary.run_id
    assert request.scene.uri == "s3://scenes/incoming/x.tif"
    assert request.scene.etag == "a"
    assert request.model == CATALOGUE["ships"]


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
def test_an_event_delivered_again_does_nothing(bucket, status):
    event = bucket.drop()
    first = bucket.handle(event)
    bucket.states.end(first.execution, status)
    again = bucket.handle(event)
    assert (again.outcome, again.execution) == ("duplicate", first.execution)
    assert not bucket.states.redriven


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED"])
def test_the_same_bytes_dropped_again_do_nothing_while_their_run_is_good(bucket, status):
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, status)
    assert bucket.handle(bucket.drop()).outcome == "duplicate"
    assert list(bucket.states.executions) == [first.run_id]


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_failed_run_is_redriven_when_its_scene_is_dropped_again(bucket, status):
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, status)
    assert bucket.handle(bucket.drop()).outcome == "redriven"
    assert bucket.states.redriven == [first.run_id]
    assert bucket.handle(bucket.drop()).outcome == "duplicate"


def test_a_run_with_failed_tiles_starts_anew_so_that_its_shards_are_run_again(bucket):
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, "FAILED")
    bucket.states.executions[first.execution]["error"] = "RunIncompleteError"

    again = bucket.handle(bucket.drop())

    assert (again.outcome, again.run_id) == ("started", first.run_id)
    assert again.execution.startswith(f"{first.run_id}-")
    assert not bucket.states.redriven


@pytest.mark.parametrize(
    ("plan", "outcome"),
    [
        ({"version": PLAN_VERSION}, "redriven"),
        ({"version": PLAN_VERSION + 1}, "started"),
        ({"version": PLAN_VERSION - 1}, "started"),
        ({"run_id": "of the first version, which did not say its own"}, "started"),
    ],
)
def test_a_run_that_another_version_of_swath_planned_is_planned_anew(bucket, plan, outcome):
    first = bucket.handle(bucket.drop())
    storage.write_json(RunPaths(bucket.settings.work_uri, first.run_id).plan, plan)
    bucket.states.end(first.execution, "FAILED")

    again = bucket.handle(bucket.drop())

    assert (again.outcome, again.run_id) == (outcome, first.run_id)
    assert (again.execution == first.execution) == (outcome == "redriven")


def test_a_redrive_that_another_delivery_was_quicker_with_is_a_redrive(bucket, monkeypatch):
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, "FAILED")
    describe = bucket.states.describe_execution

    def describe_and_lose_the_race(**parameters):
        seen = describe(**parameters)
        bucket.states.executions[first.execution]["status"] = "RUNNING"
        return seen

    monkeypatch.setattr(bucket.states, "describe_execution", describe_and_lose_the_race)
    assert bucket.handle(bucket.drop()).outcome == "redriven"
    assert list(bucket.states.executions) == [first.run_id]
    assert not bucket.states.redriven


def test_a_failed_run_that_cannot_be_redriven_is_started_under_the_next_name(bucket):
    bucket.states.redrivable = False
    first = bucket.handle(bucket.drop())
    bucket.wait(30)
    bucket.states.end(first.execution, "FAILED")
    ended = int(bucket.states.now.timestamp())

    second = bucket.handle(bucket.drop())

    assert (second.outcome, second.run_id) == ("started", first.run_id)
    assert second.execution == f"{first.run_id}-{ended}"
    assert bucket.handle(bucket.drop()).outcome == "duplicate"


def test_names_go_on_also_when_an_execution_ends_in_the_second_that_named_it(bucket):
    bucket.states.redrivable = False
    first = bucket.handle(bucket.drop())
    names = {first.execution}
    event = bucket.drop()
    for _ in range(3):
        bucket.states.end(max(names, key=len), "FAILED")
        bucket.states.executions[max(names, key=len)]["startDate"] = NOON
        summary = bucket.handle(event)
        assert summary.outcome == "started"
        names = {summary.execution}
    assert len(bucket.states.executions) == 4


def test_a_changed_scene_is_another_run(bucket):
    first, second = bucket.handle(bucket.drop("a")), bucket.handle(bucket.drop("b"))
    assert first.run_id != second.run_id
    assert second.outcome == "started"


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_a_scene_put_back_to_an_earlier_version_is_run_again(bucket, status):
    first = bucket.handle(bucket.drop("a"))
    bucket.states.end(first.execution, status)
    bucket.handle(bucket.drop("b"))

    back = bucket.drop("a")
    again = bucket.handle(back)

    assert (again.outcome, again.run_id) == ("started", first.run_id)
    assert again.execution != first.execution
    sent = json.loads(bucket.states.executions[again.execution]["input"])
    assert sent["scene"]["dropped_at"] == back.at
    assert bucket.handle(back).outcome == "duplicate"


def test_a_late_event_of_an_older_version_does_not_run_that_again(bucket):
    older = bucket.drop("a")
    bucket.handle(older)
    bucket.handle(bucket.drop("b"))
    assert bucket.handle(older).outcome == "duplicate"
    assert bucket.handle(bucket.drop("b")).outcome == "duplicate"


def test_the_same_scene_for_two_models_is_two_runs_that_do_not_meet(bucket):
    bucket.handle(bucket.drop("a", "incoming/x.tif"))
    bucket.handle(bucket.drop("a", "incoming/trees/x.tif"))
    assert bucket.handle(bucket.drop("a", "incoming/x.tif")).outcome == "duplicate"


@pytest.mark.parametrize(
    ("key", "size", "reason"),
    [
        ("incoming/ships/", 0, "folder"),
        ("incoming/x.tif.aux.xml", 9, "accompanies"),
        ("incoming/x.tif.OVR", 9, "accompanies"),
        ("incoming/x.tif.msk", 9, "accompanies"),
        ("incoming/x_RPC.TXT", 9, "accompanies"),
    ],
)
def test_what_lies_beside_scenes_is_ignored(bucket, key, size, reason):
    summary = bucket.handle(bucket.drop(key=key, size=size))
    assert summary.outcome == "ignored"
    assert reason in summary.reason
    assert not bucket.states.executions


@pytest.mark.parametrize(
    ("key", "size"), [("incoming/empty.tif", 0), ("incoming/notes.txt", 9), ("incoming/odd/", 9)]
)
def test_anything_else_is_run_so_that_its_failure_is_recorded(bucket, key, size):
    assert bucket.handle(bucket.drop(key=key, size=size)).outcome == "started"


ACTIONS = st.one_of(
    st.tuples(st.just("drop"), st.sampled_from("ab")),
    st.tuples(st.just("deliver again"), st.integers(0, 20)),
    st.tuples(st.just("end"), st.integers(0, 20), st.sampled_from(["SUCCEEDED", "FAILED"])),
    st.tuples(st.just("too old to redrive"), st.booleans()),
)


@given(actions=st.lists(ACTIONS, max_size=25))
def test_whatever_happens_the_newest_drop_is_what_stays(actions, tmp_path_factory):
    """Loads keep the latest drop of those that succeed, so the newest drop must have a run of its
    own version at or after it, or one since which no other version was dropped.
    """
    bucket = Bucket(str(tmp_path_factory.mktemp("work")))
    events = []
    for action, *arguments in actions:
        running = [n for n, e in bucket.states.executions.items() if e["status"] == "RUNNING"]
        if action == "drop":
            events.append(bucket.drop(*arguments))
            bucket.handle(events[-1])
        elif action == "deliver again" and events:
            bucket.handle(events[arguments[0] % len(events)])
        elif action == "end" and running:
            bucket.states.end(running[arguments[0] % len(running)], arguments[1])
        elif action == "too old to redrive":
            bucket.states.redrivable = not arguments[0]
    if not events:
        return
    newest = events[-1]
    inputs = [json.loads(e["input"])["scene"] for e in bucket.states.executions.values()]
    last_of_others = max((e.at for e in events if e.etag != newest.etag), default="")
    assert any(s["etag"] == newest.etag and s["dropped_at"] > last_of_others for s in inputs)
