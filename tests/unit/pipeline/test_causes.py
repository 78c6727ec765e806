"""Tests of the true cause of a failed run, from the shards' reports of Step Functions and Batch."""

import datetime as dt
import itertools
import json
from types import SimpleNamespace

import pytest

from swath import storage
from swath.errors import TransientError
from swath.messages import JobFailure
from swath.pipeline.causes import resolve_cause
from swath.pipeline.paths import RunPaths

RUN = "arn:aws:states:eu-west-1:123456789012:execution:swath-runs:0197"
OVER = "The specified tolerated failure threshold was exceeded"
START = dt.datetime(2026, 11, 28, 12, tzinfo=dt.UTC)


def at(seconds):
    return START + dt.timedelta(seconds=seconds)


class States:
    """A run's Map runs and their child executions, in pages of two."""

    def __init__(self, maps):
        self.maps = maps

    def get_paginator(self, operation):
        return SimpleNamespace(paginate=getattr(self, operation))

    def list_map_runs(self, **asked):
        assert asked == {"executionArn": RUN}
        runs = [{"mapRunArn": arn, "startDate": at(n)} for n, arn in enumerate(self.maps)]
        return self._pages("mapRuns", runs)

    def list_executions(self, **asked):
        every, status = self.maps[asked["mapRunArn"]], asked["statusFilter"]
        children = [child for child in every if child["status"] == status]
        listed = [{"executionArn": c["arn"], "stopDate": c["stopDate"]} for c in children]
        return self._pages("executions", listed)

    def describe_execution(self, **asked):
        every = itertools.chain.from_iterable(self.maps.values())
        return next(dict(child) for child in every if child["arn"] == asked["executionArn"])

    @staticmethod
    def _pages(name, found):
        return [{name: found[n : n + 2]} for n in range(0, max(len(found), 1), 2)]


class Batch:
    """The child jobs of a Batch array, one a page."""

    def __init__(self, children):
        self.children = children

    def get_paginator(self, operation):
        assert operation == "list_jobs"
        return SimpleNamespace(paginate=self.list_jobs)

    def list_jobs(self, **asked):
        found = [c for c in self.children if c["status"] == asked["jobStatus"]]
        assert all(child["jobId"].startswith(f"{asked['arrayJobId']}:") for child in found)
        return [{"jobSummaryList": [c]} for c in found] or [{"jobSummaryList": []}]

    def describe_jobs(self, *, jobs):
        return {"jobs": [child for child in self.children if child["jobId"] in jobs]}


def shard(index, *, seconds, status="FAILED", error="SceneError", cause="x.tif: no CRS"):
    said = {"error": error, "cause": json.dumps({"errorMessage": cause, "errorType": error})}
    return {
        "arn": f"{RUN}/{index}",
        "status": status,
        "stopDate": at(seconds),
        "input": json.dumps({"plan_uri": "s3://work/runs/0197/plan.json", "index": index}),
    } | (said if error else {})


def detail(**changes):
    return {
        "executionArn": RUN,
        "name": "0197",
        "status": "FAILED",
        "input": "{}",
        "stopDate": 1,
    } | changes


def of_map(children, *, work_uri="s3://work", **changes):
    maps = children if isinstance(children, dict) else {"map": children}
    failed = detail(error="States.ExceedToleratedFailureThreshold", cause=OVER) | changes
    services = SimpleNamespace(sfn=States(maps), batch=None)
    found = resolve_cause(failed, work_uri=work_uri, services=services)
    return found["error"], found["cause"]


def test_a_map_fails_for_what_its_first_failed_shard_says():
    children = [
        shard(7, seconds=9, cause="another"),
        shard(1, seconds=1, status="SUCCEEDED"),
        shard(3, seconds=4),
        shard(2, seconds=2, status="ABORTED", error=None),
        shard(8, seconds=8, cause="a third"),
    ]

    assert of_map(children) == ("SceneError", "shard 3: x.tif: no CRS")
    assert of_map(children, error="States.Runtime")[1].startswith("shard 3"), "by its words"


def test_a_shard_that_timed_out_has_a_cause_too():
    late = shard(5, seconds=1, status="TIMED_OUT", error=None)

    error, cause = of_map([shard(6, seconds=2), late])

    assert (error, cause) == ("TIMED_OUT", "shard 5: the run exceeded its timeout")


def test_a_map_that_was_tried_again_fails_for_its_last_run():
    maps = {"first": [shard(1, seconds=1)], "second": [shard(2, seconds=50, cause="later")]}

    assert of_map(maps)[1] == "shard 2: later"


def test_a_redriven_run_reports_only_failures_since_the_redrive():
    stale, fresh = shard(1, seconds=1), shard(2, seconds=60, cause="again")
    redriven = at(30).timestamp() * 1000

    assert of_map([stale, fresh], redriveDate=redriven)[1] == "shard 2: again"
    with pytest.raises(TransientError):
        of_map([stale], redriveDate=redriven)


@pytest.mark.parametrize(
    "maps", [{}, {"map": []}, {"map": [shard(1, seconds=1, status="ABORTED")]}]
)
def test_a_shard_that_is_not_listed_yet_is_asked_for_again(maps):
    with pytest.raises(TransientError, match="listed yet"):
        of_map(maps)


def test_every_field_of_a_detail_stays_and_the_words_are_readable():
    failed = detail(error="SceneError", cause='{"errorMessage": "x.tif: empty"}', redriveCount=2)

    found = resolve_cause(failed, work_uri="s3://work", services=SimpleNamespace())

    assert found == failed | {"cause": "x.tif: empty"}


@pytest.mark.parametrize("words", [{}, {"error": None, "cause": None}])
@pytest.mark.parametrize(
    ("status", "cause"),
    [
        ("ABORTED", "the run was stopped by hand"),
        ("TIMED_OUT", "the run exceeded its timeout"),
        ("FAILED", "no cause was given"),
    ],
)
def test_an_execution_without_words_gets_some(words, status, cause):
    found = resolve_cause(detail(status=status, **words), work_uri="", services=SimpleNamespace())

    assert (found["error"], found["cause"]) == (status, cause)


def child(index, *, seconds, exit_code=1, reason=None, status="FAILED"):
    container = {"exitCode": exit_code, "logStreamName": f"log/{index}"}
    return {
        "jobId": f"job:{index}",
        "jobName": "0197",
        "status": status,
        "stoppedAt": seconds,
        "statusReason": "Essential container in task exited",
        "container": container | ({"reason": reason} if reason else {}),
        "arrayProperties": {"index": index},
    }


def of_batch(work_uri, children=None, **job):
    """Return the error and cause of an array's failure, or of a single job's failure."""
    described = {"JobId": "job", "JobName": "0197", **job}
    if children is not None:
        described |= {
            "StatusReason": "Array Child Job failed",
            "ArrayProperties": {"Size": len(children), "StatusSummary": {"FAILED": 1}},
        }
    failed = detail(error="States.TaskFailed", cause=json.dumps(described))
    services = SimpleNamespace(sfn=None, batch=Batch(children))
    found = resolve_cause(failed, work_uri=str(work_uri), services=services)
    return found["error"], found["cause"]


def leave(work_uri, job, text, *, error="ModelOutputError", exit_code=1):
    left = JobFailure(error=error, cause=text, exit_code=exit_code)
    storage.write_json(RunPaths(str(work_uri), "0197").job_failure(job), left.to_json())


def test_an_array_fails_for_what_its_first_failed_child_left(tmp_path):
    children = [
        child(0, seconds=1, status="SUCCEEDED"),
        child(1, seconds=9),
        child(2, seconds=5),
    ]
    leave(tmp_path, "job:1", "another")
    leave(tmp_path, "job:2", "s3://scenes/x.tif: NaN")

    assert of_batch(tmp_path, children) == (
        "ModelOutputError",
        "shard 2: s3://scenes/x.tif: NaN (log stream log/2)",
    )


def test_a_child_that_was_killed_has_batchs_own_reason(tmp_path):
    killed = "OutOfMemoryError: Container killed due to memory usage"
    # An earlier attempt left it and ended otherwise.
    leave(tmp_path, "job:4", "S3 was away", error="TransientError", exit_code=75)

    error, cause = of_batch(tmp_path, [child(4, seconds=1, exit_code=137, reason=killed)])

    assert error == "OutOfMemoryError"
    assert cause.startswith("shard 4: ")
    for words in (killed, "exit code 137", "log stream log/4"):
        assert words in cause
    assert "S3 was away" not in cause


def test_a_job_of_its_own_is_the_only_shard(tmp_path):
    container = {"ExitCode": 69, "LogStreamName": "log/0"}
    assert of_batch(tmp_path, Container=container, StatusReason="exited") == (
        "States.TaskFailed",
        "shard 0: Batch job 0197: exited; exit code 69; log stream log/0",
    )
    leave(tmp_path, "job", "the GPU cannot be used", error="NoGpuError", exit_code=69)
    assert of_batch(tmp_path, Container=container, StatusReason="exited") == (
        "NoGpuError",
        "shard 0: the GPU cannot be used (log stream log/0)",
    )


def test_a_job_that_no_host_took_says_why(tmp_path):
    reason = "Canceled by JobStateTimeLimit action due to reason: NO_QUOTA"

    error, cause = of_batch(tmp_path, StatusReason=reason)

    assert (error, cause) == ("States.TaskFailed", f"shard 0: Batch job 0197: {reason}")


@pytest.mark.parametrize("text", ["no JSON", '{"error": 1}', "[]"])
def test_unreadable_errors_are_ignored(tmp_path, text):
    storage.write_bytes(RunPaths(str(tmp_path), "0197").job_failure("job"), text.encode())

    assert "exit code 3" in of_batch(tmp_path, Container={"ExitCode": 3})[1]


def test_an_array_without_a_failed_child_is_asked_for_again(tmp_path):
    with pytest.raises(TransientError, match="listed yet"):
        of_batch(tmp_path, [child(0, seconds=1, status="SUCCEEDED")])
