"""Tests of random histories of a scene on a real PostGIS.

Histories have puts, events in any order, runs that end or fail, and loads.

`start_run`, `load_run` and `record_failure` are the real ones. S3, Step Functions and the steps
before the load are simulated: they keep AWS's rules of names, and compare ETags where the steps do.

After all events have come and all executions have ended, the rows are those of the object in the
bucket. They come from the deployed package, and statuses are correct. Earlier rows may remain if an
execution of the last drop failed or a note in the work bucket was lost. Then another drop of the
object loads its own rows.

A drop of the same bytes can come while their run is in progress. It is run once that run has
failed, because a failed run covers only the drops before it. No drop starts two executions of one
run, so scenes that always fail come to rest.
"""

import contextlib
import json
import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from swath.database.failures import record_failure
from swath.database.load import load_run
from swath.messages import ModelRef, RunRequest
from swath.messages.execution_events import RunFailure
from swath.pipeline.start import Drop, new_request, start_run, start_waiting_drop
from swath.settings import StartRunSettings
from tests.helpers.fuzzing import draws
from tests.helpers.runs import NOON
from tests.helpers.state_machine import MACHINE, States

KEYS = ("incoming/x.tif", "incoming/trees/x.tif")
ETAGS, DIGESTS = ("a", "b", "c"), ("d1", "d2")
STAGES = ("plan", "shards", "merge", "load", "publish")


class DiedError(Exception):
    pass


class Cloud:
    """One bucket, one state machine, one database, and the history of all three."""

    def __init__(self, connection, work, files):
        self.connection, self.files = connection, files
        self.states = States(datetime.now(UTC))
        self.work = Path(work)
        self.settings = StartRunSettings(
            state_machine_arn=MACHINE, catalog_uri="", default_model="ships", work_uri=work
        )
        self.digest, self.writes = DIGESTS[0], 0xFE
        self.objects, self.events, self.handled = {}, [], set()
        self.packages = {}
        self.at, self.failures, self.lost = {}, [], False
        self.ends, self.told, self.doomed = [], set(), False
        connection.execute("DELETE FROM swath.runs")
        connection.commit()

    def put(self, key, etag):
        """Put an object and queue its event. A history happens within one second of S3's clock."""
        self.writes += 1
        drop = Drop(
            bucket="scenes",
            key=key,
            etag=etag,
            size=9,
            dropped_at=NOON.isoformat(),
            sequencer=f"{self.writes:06X}00"[: 6 + 2 * (self.writes % 2)],
        )
        self.objects[key] = drop
        self.events.append(drop)

    def deliver(self, number, *, dies=False):
        """Deliver an event, perhaps again. The handler may die before it starts the execution."""
        if self.events:
            drop = self.events[number % len(self.events)]
            self.packages.setdefault(drop, set()).add(self.digest)
            with self.dying(dies):
                start_run(drop, settings=self.settings, catalog=self.catalog, sfn=self.states)
                self.handled.add(drop)

    def tell(self, number, *, dies=False):
        """Deliver the event of an execution's end: late, out of order or again.

        The handler may die.
        """
        if self.ends:
            number %= len(self.ends)
            with self.dying(dies):
                start_waiting_drop(self.ends[number], settings=self.settings, sfn=self.states)
                self.told.add(number)

    @contextlib.contextmanager
    def dying(self, dies):
        """Make the handler die when it starts an execution, if `dies` is true."""
        start = self.states.start_execution
        self.states.start_execution = self._die if dies else start
        with contextlib.suppress(DiedError):
            yield
        self.states.start_execution = start

    def _die(self, **_):
        raise DiedError

    @property
    def catalog(self):
        names = ("ships", "trees")
        return {n: ModelRef(name=n, uri="s3://m/m.tar.gz", digest=self.digest) for n in names}

    def step(self, number, *, fails=False):
        """Advance a running execution by one stage, or let it fail there."""
        running = self.running()
        if not running:
            return
        name = running[number % len(running)]
        request, stage = self.request(name), STAGES[self.at.get(name, 0)]
        changed = self.objects[self.key(request)].etag != request.scene.etag
        if fails or self.doomed or (stage in {"plan", "shards"} and changed):
            self.fail(name, stage)
            return
        if stage == "load":
            merge = self.files[request.scene.etag, request.model.digest]
            summary = load_run(self.connection, request, merge)
            self.states.executions[name]["superseded"] = summary.superseded
        self.at[name] = self.at.get(name, 0) + 1
        if self.at[name] == len(STAGES):
            self.states.now = datetime.now(UTC)
            superseded = self.states.executions[name]["superseded"]
            self.states.end(name, superseded=superseded)
            self.ends.append(self.states.ended(name))

    def fail(self, name, stage):
        self.states.now = datetime.now(UTC)
        self.states.end(name, "FAILED")
        self.ends.append(self.states.ended(name))
        request = self.request(name)
        self.states.executions[name]["failed_at"] = stage
        self.failures.append(
            RunFailure(
                request=request, status="failed", error="E", cause=stage, ended_at=self.states.now
            )
        )

    def record(self, number):
        """Record a failure, perhaps long after it happened, perhaps again."""
        if self.failures:
            record_failure(self.connection, self.failures[number % len(self.failures)])

    def redrive(self, number):
        """Redrive a failed execution: same input, from its failed stage, as the console does."""
        failed = [n for n, e in self.states.executions.items() if e["status"] == "FAILED"]
        if failed:
            self.states.now = datetime.now(UTC)
            self.states.redrive(failed[number % len(failed)])

    def deploy(self, digest):
        self.digest = digest

    def lose(self, number):
        """Delete or damage a note in the work bucket."""
        notes = sorted(self.work.glob("scenes/*.json"))
        if notes:
            chosen = notes[number % len(notes)]
            self.lost = True
            chosen.unlink() if number % 2 else chosen.write_text("{")

    def settle(self):
        """Deliver all pending events, end all executions and record all failures."""
        for number, drop in enumerate(self.events):
            if drop not in self.handled:
                self.deliver(number)
        while self.running() or len(self.told) < len(self.ends):
            self.step(0)
            for number in range(len(self.ends)):
                if number not in self.told:
                    self.tell(number)
        for number in range(len(self.failures)):
            self.record(number)

    def running(self):
        return [n for n, e in self.states.executions.items() if e["status"] == "RUNNING"]

    def request(self, name):
        return RunRequest.from_json(json.loads(self.states.executions[name]["input"]))

    @staticmethod
    def key(request):
        return request.scene.uri.removeprefix("s3://scenes/")

    def rows(self):
        """Return the number of rows of each run, for each key."""
        found = self.connection.execute(
            "SELECT scene_uri, run_id::text, count(*) FROM swath.detections"
            " JOIN swath.runs USING (run_id) GROUP BY 1, 2"
        ).fetchall()
        rows = {key: {} for key in KEYS}
        for uri, run_id, count in found:
            rows[uri.removeprefix("s3://scenes/")][run_id] = count
        return rows

    def statuses(self):
        return dict(
            self.connection.execute("SELECT run_id::text, status FROM swath.runs").fetchall()
        )

    def has_failed(self, drop):
        """Return whether an execution that was started for this drop has failed."""
        return any(
            (failure.request.scene.uri, failure.request.scene.sequencer)
            == (drop.uri, drop.sequencer)
            for failure in self.failures
        )

    def wanted(self, key, digests):
        """Return the runs whose rows may exist: of the bucket's object, by one of the packages."""
        drop = self.objects[key]
        runs = {}
        for digest in digests:
            settled = {**self.catalog}
            model = "trees" if "trees" in key else "ships"
            settled[model] = ModelRef(name=model, uri="s3://m/m.tar.gz", digest=digest)
            request = new_request(drop, settings=self.settings, catalog=settled)
            runs[request.run_id] = self.files[drop.etag, digest].detections
        return runs


NUMBERS = st.integers(0, 30)
ACTIONS = st.one_of(
    st.tuples(st.just("put"), st.sampled_from(KEYS), st.sampled_from(ETAGS)),
    st.tuples(st.just("put and deliver"), st.sampled_from(KEYS), st.sampled_from(ETAGS)),
    st.tuples(st.just("deliver"), NUMBERS),
    st.tuples(st.just("die"), NUMBERS),
    st.tuples(st.just("put again"), st.sampled_from(KEYS)),
    st.tuples(st.just("tell"), NUMBERS),
    st.tuples(st.just("die as told"), NUMBERS),
    st.tuples(st.just("step"), NUMBERS, st.integers(1, 5)),
    st.tuples(st.just("step"), NUMBERS, st.integers(1, 5)),
    st.tuples(st.just("fail"), NUMBERS),
    st.tuples(st.just("record"), NUMBERS),
    st.tuples(st.just("redrive"), NUMBERS),
    st.tuples(st.just("deploy"), st.sampled_from(DIGESTS)),
    st.tuples(st.just("lose"), NUMBERS),
)


def act(cloud, action, *arguments):
    match action:
        case "put and deliver":
            cloud.put(*arguments)
            cloud.deliver(len(cloud.events) - 1)
        case "put again":
            (key,) = arguments
            cloud.put(key, cloud.objects[key].etag if key in cloud.objects else ETAGS[0])
            cloud.deliver(len(cloud.events) - 1)
        case "die":
            cloud.deliver(*arguments, dies=True)
        case "die as told":
            cloud.tell(*arguments, dies=True)
        case "fail":
            cloud.step(*arguments, fails=True)
        case "step":
            number, times = arguments
            for _ in range(times):
                cloud.step(number)
        case _:
            getattr(cloud, action)(*arguments)


@pytest.fixture
def files(merged):
    """Return a merged file for each version and package, each with another number of detections."""
    pairs = [(etag, digest) for etag in ETAGS for digest in DIGESTS]
    return {pair: merged(count) for count, pair in enumerate(pairs, start=1)}


OPTIONS = {
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    "deadline": None,
}
HISTORIES = st.lists(ACTIONS, min_size=3, max_size=40)


@pytest.mark.fuzz
@settings(max_examples=draws(200, fuzz=5000), **OPTIONS)
@given(actions=HISTORIES)
def test_the_rows_are_those_of_the_object_in_the_bucket(connection, files, actions):
    with tempfile.TemporaryDirectory() as work:
        cloud = Cloud(connection, work, files)
        for action in actions:
            act(cloud, *action)
        cloud.settle()
        for key in cloud.objects:
            check_rows(cloud, key)
        check_statuses(cloud)
        check_executions(cloud)

        for key in list(cloud.objects):
            cloud.put(key, cloud.objects[key].etag)
        cloud.settle()
        for key in cloud.objects:
            assert cloud.rows()[key] == cloud.wanted(key, [cloud.digest]), "dropped again"
        check_statuses(cloud)


@pytest.mark.fuzz
@settings(max_examples=draws(40, fuzz=1000), **OPTIONS)
@given(actions=HISTORIES)
def test_scenes_that_always_fail_are_not_run_for_ever(connection, files, actions):
    with tempfile.TemporaryDirectory() as work:
        cloud = Cloud(connection, work, files)
        cloud.doomed = True
        for action in actions:
            act(cloud, *action)
        cloud.settle()
        check_executions(cloud)
        assert not any(cloud.rows().values())

        cloud.doomed = False
        for key in list(cloud.objects):
            cloud.put(key, cloud.objects[key].etag)
        cloud.settle()
        for key in cloud.objects:
            assert cloud.rows()[key] == cloud.wanted(key, [cloud.digest]), "dropped again"


def check_executions(cloud):
    """Check that each drop has at most one execution of a run, or two if notes were lost."""
    requests = [cloud.request(name) for name in cloud.states.executions]
    drops = Counter((request.run_id, request.scene.sequencer) for request in requests)
    assert max(drops.values(), default=0) <= (2 if cloud.lost else 1)


def check_rows(cloud, key):
    """Check that the rows belong to one run, and to the expected run unless its last drop failed.

    The expected package is the one that was deployed when the event was delivered, perhaps again.
    """
    rows = cloud.rows()[key]
    drop = cloud.objects[key]
    wanted = cloud.wanted(key, cloud.packages[drop])
    assert len(rows) <= 1
    if not cloud.lost and not cloud.has_failed(drop):
        event("no execution of the last drop failed, and no note was lost")
        if any(f.request.run_id in wanted for f in cloud.failures):
            event("a run of the same bytes failed")
        ((run_id, count),) = rows.items()
        assert wanted.get(run_id) == count


def check_statuses(cloud):
    """Check that each ended run has a row, and that its status matches its executions."""
    statuses = cloud.statuses()
    with_rows = {run_id for runs in cloud.rows().values() for run_id in runs}
    last = {}
    for name, execution in cloud.states.executions.items():
        run_id = cloud.request(name).run_id
        if run_id not in last or last[run_id]["stopDate"] < execution["stopDate"]:
            last[run_id] = execution
    assert statuses.keys() == last.keys()
    for run_id, execution in last.items():
        status = statuses[run_id]
        if run_id in with_rows:
            assert status == "succeeded"
        elif execution.get("failed_at") == "publish":
            # The run was loaded. Its failure is recorded before or after another run replaced it.
            assert status in {"failed", "replaced", "superseded"}
        elif execution["status"] == "SUCCEEDED" and cloud.lost:
            # Two executions of a run can be in progress if its note was lost. The other one may
            # fail after this one's load, and before its end.
            assert status in {"replaced", "superseded", "failed"}
        elif execution["status"] == "SUCCEEDED":
            assert status in {"replaced", "superseded"}
        else:
            assert status == "failed"
