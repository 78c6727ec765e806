"""Tests of drops and the executions that they start.

Step Functions is a stub with its name rules.
"""

import dataclasses
import itertools
import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from swath import storage
from swath.errors import PayloadError, TransientError
from swath.messages import ModelRef, RunOptions, RunRequest
from swath.pipeline.start import Drop, ExecutionEnd, start_run, start_waiting_drop
from swath.settings import StartRunSettings
from tests.helpers.state_machine import MACHINE, States

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)
CATALOG = {"ships": ModelRef(name="ships", uri="s3://models/ships.tar.gz", digest="d")}


class Bucket:
    """A bucket with drops on one key, which start_run handles. The clock advances by itself."""

    def __init__(self, work):
        self.states = States(NOON)
        self.writes = 0x617F08299329D189
        self.catalog = CATALOG
        self.settings = StartRunSettings(
            state_machine_arn=MACHINE, catalog_uri="", default_model="ships", work_uri=work
        )

    def wait(self, seconds):
        self.states.now += timedelta(seconds=seconds)

    def drop(self, etag="a", key="incoming/x.tif", size=9):
        self.wait(10)
        at = self.states.now.replace(microsecond=0).isoformat()
        self.writes += 1
        event = Drop(
            bucket="scenes",
            key=key,
            etag=etag,
            size=size,
            dropped_at=at,
            sequencer=f"{self.writes:018X}",
        )
        self.wait(1.5)
        return event

    def handle(self, event):
        return start_run(event, settings=self.settings, catalog=self.catalog, sfn=self.states)

    def end(self, execution, status="FAILED", *, superseded=False):
        """End an execution and return the detail of its event."""
        self.wait(1)
        self.states.end(execution, status, superseded=superseded)
        return self.states.ended(execution)

    def tell(self, detail):
        return start_waiting_drop(detail, settings=self.settings, sfn=self.states)


@pytest.fixture
def bucket(tmp_path):
    return Bucket(str(tmp_path))


def test_a_drop_starts_an_execution_named_after_its_run(bucket):
    summary = bucket.handle(bucket.drop())

    assert summary.outcome == "started"
    assert (summary.execution, summary.reason) == (summary.run_id, "")
    request = RunRequest.from_json(json.loads(bucket.states.executions[summary.run_id]["input"]))
    assert request.run_id == summary.run_id
    assert request.scene.uri == "s3://scenes/incoming/x.tif"
    assert request.scene.etag == "a"
    assert request.model == CATALOG["ships"]


def test_a_run_has_the_options_of_the_deployment(bucket):
    options = {"backend": "batch", "tolerated_failures": 0.25, "score_threshold": 0.5}
    bucket.settings = dataclasses.replace(bucket.settings, **options)

    summary = bucket.handle(bucket.drop())

    request = RunRequest.from_json(json.loads(bucket.states.executions[summary.run_id]["input"]))
    assert request.options == RunOptions(**options)


@pytest.mark.parametrize("changes", [{"input": "{"}, {"input": 7}, {"stopDate": "noon"}, None])
def test_an_event_about_no_run_starts_nothing(bucket, changes):
    first = bucket.handle(bucket.drop())
    detail = bucket.end(first.execution)
    detail = {} if changes is None else detail | changes

    with pytest.raises(PayloadError, match="not the event of a run that ended"):
        ExecutionEnd.from_event_detail(detail)
    assert len(bucket.states.executions) == 1


@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "ABORTED"])
def test_an_event_delivered_again_does_nothing(bucket, status):
    event = bucket.drop()
    first = bucket.handle(event)
    bucket.states.end(first.execution, status)
    again = bucket.handle(event)
    assert (again.outcome, again.execution) == ("duplicate", first.execution)
    assert list(bucket.states.executions) == [first.execution]


@pytest.mark.parametrize("status", ["RUNNING", "PENDING_REDRIVE", "SUCCEEDED"])
def test_the_same_bytes_dropped_again_do_nothing_while_their_run_is_good(bucket, status):
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, status)
    assert bucket.handle(bucket.drop()).outcome == "duplicate"
    assert list(bucket.states.executions) == [first.run_id]


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_a_failed_run_is_run_anew_when_its_scene_is_dropped_again(bucket, status):
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, status)

    drop = bucket.drop()
    again = bucket.handle(drop)

    assert (again.outcome, again.run_id) == ("started", first.run_id)
    assert again.execution.startswith(f"{first.run_id}-")
    sent = json.loads(bucket.states.executions[again.execution]["input"])
    assert sent["scene"]["sequencer"] == drop.sequencer
    assert bucket.handle(drop).outcome == bucket.handle(bucket.drop()).outcome == "duplicate"
    assert len(bucket.states.executions) == 2


def test_a_run_that_was_not_loaded_for_a_later_one_is_run_anew(bucket):
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, superseded=True)
    assert bucket.handle(bucket.drop()).outcome == "started"


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED", "superseded"])
def test_a_drop_of_the_same_bytes_waits_for_their_run_to_fail(bucket, status):
    first = bucket.handle(bucket.drop())
    drops = [bucket.drop(), bucket.drop()]
    assert [bucket.handle(drop).outcome for drop in drops] == ["duplicate"] * 2
    superseded = status == "superseded"
    end = bucket.end(first.execution, "SUCCEEDED" if superseded else status, superseded=superseded)

    again = bucket.tell(end)

    assert (again.outcome, again.run_id) == ("started", first.run_id)
    sent = json.loads(bucket.states.executions[again.execution]["input"])
    assert sent["scene"]["sequencer"] == drops[-1].sequencer
    assert sent["scene"]["dropped_at"] == drops[-1].dropped_at
    assert sent["requested_at"] > json.loads(end["input"])["requested_at"]
    assert bucket.tell(end).outcome == "duplicate"
    assert [bucket.handle(drop).outcome for drop in drops] == ["outdated", "duplicate"]
    assert len(bucket.states.executions) == 2


def test_a_scene_that_always_fails_is_run_once_for_each_drop(bucket):
    first = bucket.handle(bucket.drop())
    bucket.handle(bucket.drop())
    again = bucket.tell(bucket.end(first.execution))
    for _ in range(3):
        assert bucket.tell(bucket.end(again.execution)).outcome == "duplicate"
    assert len(bucket.states.executions) == 2


@pytest.mark.parametrize("status", ["SUCCEEDED", "FAILED"])
def test_a_run_that_nobody_waits_for_stays_as_it_is(bucket, status):
    only = bucket.handle(bucket.drop())
    assert bucket.tell(bucket.end(only.execution, status)).outcome == "duplicate"
    if status == "SUCCEEDED":
        bucket.handle(bucket.drop())
        assert bucket.tell(bucket.states.ended(only.execution)).outcome == "duplicate"
    assert list(bucket.states.executions) == [only.execution]


def test_the_end_of_a_run_of_other_bytes_or_of_no_drop_starts_nothing(bucket):
    first = bucket.handle(bucket.drop("a"))
    bucket.handle(bucket.drop("a"))
    bucket.handle(bucket.drop("b"))
    assert bucket.tell(bucket.end(first.execution)).outcome == "ignored"
    (note,) = Path(bucket.settings.work_uri, "scenes").glob("*.json")
    note.unlink()
    assert bucket.tell(bucket.states.ended(first.execution)).outcome == "ignored"
    by_hand = bucket.tell({"name": "x", "stopDate": 0, "status": "FAILED", "input": "{}"})
    assert (by_hand.outcome, "RunRequest" in by_hand.reason) == ("ignored", True)
    assert len(bucket.states.executions) == 2


def test_a_run_that_ends_while_a_drop_is_noted_is_seen_by_one_of_the_two(bucket, monkeypatch):
    """Check a race: the end's handler runs between a drop's read and write of the note.

    The drop's handler has seen the run in progress, and the end's handler sees no waiting drop.
    """
    first = bucket.handle(bucket.drop())
    write, outcomes = storage.write_if_unchanged, []

    def write_after_the_end(uri, data, known):
        if not outcomes:
            outcomes.append(bucket.tell(bucket.end(first.execution)).outcome)
        return write(uri, data, known)

    drop = bucket.drop()
    with monkeypatch.context() as patched:
        patched.setattr(storage, "write_if_unchanged", write_after_the_end)
        again = bucket.handle(drop)

    assert outcomes == ["duplicate"]
    assert again.outcome == "started"
    sent = json.loads(bucket.states.executions[again.execution]["input"])
    assert sent["scene"]["sequencer"] == drop.sequencer


def test_another_handler_starts_a_waiting_drop_if_its_own_died(bucket, monkeypatch):
    first = bucket.handle(bucket.drop())
    bucket.handle(bucket.drop())
    end = bucket.end(first.execution)
    with monkeypatch.context() as patched:
        patched.setattr(bucket.states, "start_execution", None)
        with pytest.raises(TypeError):
            bucket.tell(end)
    assert bucket.tell(end).outcome == "started"
    assert len(bucket.states.executions) == 2


@pytest.mark.parametrize("ends", [False, True])
def test_a_run_that_was_redriven_by_hand_is_waited_for(bucket, ends):
    first = bucket.handle(bucket.drop())
    bucket.handle(bucket.drop())
    end = bucket.end(first.execution)
    bucket.wait(1)
    bucket.states.redrive(first.execution)

    assert bucket.tell(end).outcome == "duplicate"
    if ends:
        assert bucket.tell(bucket.end(first.execution)).outcome == "started"
    else:
        bucket.end(first.execution, "SUCCEEDED")
        assert bucket.tell(bucket.states.ended(first.execution)).outcome == "duplicate"


@pytest.mark.parametrize("redriven", [False, True])
def test_an_end_that_step_functions_does_not_show_yet_is_told_again(bucket, redriven):
    first = bucket.handle(bucket.drop())
    bucket.handle(bucket.drop())
    if redriven:
        bucket.end(first.execution)
        bucket.states.redrive(first.execution)
    lagging = dict(bucket.states.executions[first.execution])
    end = bucket.end(first.execution)
    ended = bucket.states.executions[first.execution]
    bucket.states.executions[first.execution] = lagging
    with pytest.raises(TransientError, match="has ended"):
        bucket.tell(end)
    bucket.states.executions[first.execution] = ended
    assert bucket.tell(end).outcome == "started"


def test_ends_whose_notes_others_keep_writing_are_tried_again_later(bucket, monkeypatch):
    first = bucket.handle(bucket.drop())
    bucket.handle(bucket.drop())
    end = bucket.end(first.execution)
    monkeypatch.setattr(storage, "write_if_unchanged", lambda *_: None)
    with pytest.raises(TransientError, match="wrote it first"):
        bucket.tell(end)


@pytest.mark.parametrize("lost", [True, False], ids=["lost", "damaged"])
@pytest.mark.parametrize("status", ["RUNNING", "SUCCEEDED", "FAILED"])
def test_a_drop_meets_its_own_execution_though_its_note_is_gone(bucket, status, lost):
    events = [bucket.drop("a"), bucket.drop("b"), bucket.drop("a")]
    summaries = [bucket.handle(event) for event in events]
    for summary in summaries:
        bucket.states.end(summary.execution, status)
    before = dict(bucket.states.executions)
    (note,) = Path(bucket.settings.work_uri, "scenes").glob("*.json")
    note.unlink() if lost else note.write_text("{")

    assert [bucket.handle(event).outcome for event in events] == ["duplicate"] * 3
    assert bucket.states.executions == before
    again = bucket.drop("a")
    assert bucket.handle(again).outcome == "started", "nobody knows whose the rows are"
    assert bucket.handle(again).outcome == "duplicate"


def test_a_second_event_starts_the_run_if_the_first_handler_died(bucket, monkeypatch):
    event = bucket.drop()
    with monkeypatch.context() as patched:
        patched.setattr(bucket.states, "start_execution", None)  # the call raises a TypeError
        with pytest.raises(TypeError):
            bucket.handle(event)
    later = bucket.handle(event)
    assert (later.outcome, later.execution) == ("started", later.run_id)


def test_an_event_whose_handler_died_runs_what_was_deployed_then(bucket, monkeypatch):
    event = bucket.drop()
    with monkeypatch.context() as patched:
        patched.setattr(bucket.states, "start_execution", None)
        with pytest.raises(TypeError):
            bucket.handle(event)
    bucket.catalog = redeployed("d2")
    bucket.handle(event)
    (execution,) = bucket.states.executions.values()
    assert json.loads(execution["input"])["model"]["digest"] == "d"


def redeployed(digest):
    return {"ships": ModelRef(name="ships", uri="s3://models/ships.tar.gz", digest=digest)}


def test_a_package_that_was_deployed_anew_runs_with_the_next_drop_and_no_old_event(bucket):
    event = bucket.drop()
    first = bucket.handle(event)
    bucket.states.end(first.execution)
    bucket.catalog = redeployed("d2")

    assert bucket.handle(event).outcome == "duplicate"
    second = bucket.handle(bucket.drop())
    bucket.catalog = CATALOG
    third = bucket.handle(bucket.drop())

    assert second.outcome == third.outcome == "started"
    assert third.run_id == first.run_id != second.run_id
    assert len({first.execution, second.execution, third.execution}) == 3


@pytest.mark.parametrize("sent", ["{}", "no JSON", "[]"])
def test_a_name_that_something_else_took_is_left_to_it(bucket, sent):
    first = bucket.handle(bucket.drop())
    bucket.states.executions[first.execution]["input"] = sent
    (note,) = Path(bucket.settings.work_uri, "scenes").glob("*.json")
    note.unlink()

    again = bucket.handle(bucket.drop())

    assert again.outcome == "started"
    assert again.execution.startswith(f"{first.execution}-")


@pytest.mark.parametrize("contended", [False, True])
def test_an_execution_of_another_name_is_found_by_later_drops(bucket, monkeypatch, contended):
    """Check a first drop whose execution name was taken by a run with a lost note."""
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, "FAILED")
    (note,) = Path(bucket.settings.work_uri, "scenes").glob("*.json")
    note.unlink()
    write, turns = storage.write_if_unchanged, itertools.count()

    def write_after_others(uri, data, known):
        if contended and next(turns) == 1:
            write(uri, storage.read_bytes(uri), storage.etag(uri))
        return write(uri, data, known)

    monkeypatch.setattr(storage, "write_if_unchanged", write_after_others)
    second = bucket.handle(bucket.drop())
    third = bucket.handle(bucket.drop())

    assert second.outcome == "started"
    assert second.execution != first.execution
    assert (third.outcome, third.execution) == ("duplicate", second.execution)
    assert len(bucket.states.executions) == 2


@pytest.mark.parametrize("times", [1, 2])
def test_drops_that_come_before_the_noted_execution_is_started_start_no_other(
    bucket, monkeypatch, times
):
    """Check a first drop whose handler has noted its execution but not started it yet."""
    drops, start, handled = [bucket.drop(), bucket.drop()], bucket.states.start_execution, []

    def start_after_the_other(**parameters):
        monkeypatch.setattr(bucket.states, "start_execution", start)
        handled.extend(bucket.handle(drops[1]) for _ in range(times))
        return start(**parameters)

    monkeypatch.setattr(bucket.states, "start_execution", start_after_the_other)
    first = bucket.handle(drops[0])

    assert list(bucket.states.executions) == [first.run_id]
    assert {summary.execution for summary in handled} == {first.run_id}
    again = bucket.tell(bucket.end(first.execution))
    assert again.outcome == "started", "the second drop waits"


def test_a_drop_that_starts_what_another_has_started_and_seen_fail_is_run(bucket, monkeypatch):
    """Check two handlers that saw no execution.

    The first one's fails before the second one's note.
    """
    drops, write, ends = [bucket.drop(), bucket.drop()], storage.write_if_unchanged, []
    with monkeypatch.context() as patched:
        patched.setattr(bucket.states, "start_execution", None)
        with pytest.raises(TypeError):
            bucket.handle(drops[0])

    def write_after_the_end(uri, data, known):
        if not ends:
            ends.append(None)
            first = bucket.handle(drops[0])
            ends.append(bucket.tell(bucket.end(first.execution)).outcome)
        return write(uri, data, known)

    monkeypatch.setattr(storage, "write_if_unchanged", write_after_the_end)
    again = bucket.handle(drops[1])

    assert ends == [None, "duplicate"]
    assert again.outcome == "started"
    sent = json.loads(bucket.states.executions[again.execution]["input"])
    assert sent["scene"]["sequencer"] == drops[1].sequencer
    assert len(bucket.states.executions) == 2


def test_events_of_one_second_are_ordered_by_their_sequencers(bucket):
    one, other = (
        Drop(
            bucket="scenes",
            key="incoming/x.tif",
            etag=etag,
            size=9,
            dropped_at=NOON.isoformat(),
            sequencer=s,
        )
        for etag, s in (("a", "00055AED6DCD90281E5"), ("b", "00055AED6DCD90281E51"))
    )
    later = bucket.handle(other)
    assert bucket.handle(one).outcome == "outdated"
    assert [later.execution] == list(bucket.states.executions)


def test_an_event_without_a_sequencer_goes_by_its_time(bucket):
    one = bucket.drop("a")
    bare = dataclasses.replace(bucket.drop("b"), sequencer="")
    bucket.handle(bare)
    assert bucket.handle(one).outcome == "outdated"
    assert bucket.handle(bare).outcome == "duplicate"
    assert bucket.handle(bucket.drop("a")).outcome == "started"


@pytest.mark.parametrize("sequencer", ["F" * 60, "not hexadecimal/", "0"])
def test_a_name_is_one_that_step_functions_takes(bucket, sequencer):
    first = bucket.handle(bucket.drop())
    bucket.states.end(first.execution, "FAILED")
    drop = dataclasses.replace(bucket.drop(), sequencer=sequencer)
    (name,) = {bucket.handle(drop).execution} - {first.execution} or {first.execution}
    assert re.fullmatch("[0-9A-Za-z-]{36,80}", name)


def test_handlers_of_events_that_arrive_at_once_take_turns(bucket):
    """Check that the second writer of a note reads it again: drops A, B, A in three threads."""
    for _ in range(5):
        events = [bucket.drop(etag) for etag in "aba"]
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(bucket.handle, events))
        newest = events[-1]
        inputs = [json.loads(e["input"])["scene"] for e in bucket.states.executions.values()]
        rest = [i["sequencer"] for i in inputs if i["etag"] != newest.etag]
        mine = max(i["sequencer"] for i in inputs if i["etag"] == newest.etag)
        assert mine > max(rest, default="")


def test_a_note_that_others_keep_writing_is_tried_again_later(bucket, monkeypatch):
    monkeypatch.setattr(storage, "write_if_unchanged", lambda *_: None)
    with pytest.raises(TransientError, match="wrote it first"):
        bucket.handle(bucket.drop())
    assert not bucket.states.executions


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
    assert sent["scene"]["dropped_at"] == back.dropped_at
    assert bucket.handle(back).outcome == "duplicate"


def test_a_late_event_of_an_older_version_does_not_run_that_again(bucket):
    older = bucket.drop("a")
    bucket.handle(older)
    bucket.handle(bucket.drop("b"))
    assert bucket.handle(older).outcome == "outdated"
    assert bucket.handle(bucket.drop("b")).outcome == "duplicate"


def test_the_same_scene_for_two_models_is_two_runs_that_do_not_meet(bucket):
    """Check one key in two deployments, each with its own default model."""
    first = bucket.handle(bucket.drop())
    ships = bucket.settings
    bucket.settings = dataclasses.replace(ships, default_model="trees")
    second = bucket.handle(bucket.drop())
    assert (second.outcome, second.run_id == first.run_id) == ("started", False)
    bucket.settings = ships
    assert bucket.handle(bucket.drop()).outcome == "duplicate"
    assert len(list(Path(bucket.settings.work_uri, "scenes").glob("*.json"))) == 2


def test_two_keys_of_the_same_bytes_are_two_runs(bucket):
    one, other = (bucket.handle(bucket.drop("a", f"incoming/{n}.tif")) for n in "xy")
    assert one.run_id != other.run_id


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
def test_files_beside_scenes_are_ignored(bucket, key, size, reason):
    summary = bucket.handle(bucket.drop(key=key, size=size))
    assert summary.outcome == "ignored"
    assert reason in summary.reason
    assert not bucket.states.executions


@pytest.mark.parametrize(
    ("key", "size"), [("incoming/empty.tif", 0), ("incoming/notes.txt", 9), ("incoming/odd/", 9)]
)
def test_anything_else_is_run_so_that_its_failure_is_recorded(bucket, key, size):
    assert bucket.handle(bucket.drop(key=key, size=size)).outcome == "started"
