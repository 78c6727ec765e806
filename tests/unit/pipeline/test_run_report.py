"""Tests of a failed run's summary: it never replaces the summary of a successful run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from swath import storage
from swath.errors import PayloadError
from swath.messages import ModelRef, RunOptions, RunRequest, SceneRef
from swath.pipeline.publish import publish_run
from swath.pipeline.run_report import RunReport, write_failure_report

REQUEST = RunRequest.new(
    scene=SceneRef(uri="s3://b/incoming/x.tif", etag="a", dropped_at="2026-11-21T12:00:00Z"),
    model=ModelRef(name="ships", uri="s3://m/ships.tar.gz", digest="d1"),
    options=RunOptions(),
)
ENDED = 1_795_262_410_000


def failed(*, status="FAILED", at=ENDED, **words):
    asked = json.dumps(REQUEST.to_json())
    return {"status": status, "stopDate": at, "input": asked, **words}


@pytest.fixture
def results(tmp_path):
    return str(tmp_path / "results")


def summary(results):
    return storage.read_json(f"{results}/runs/{REQUEST.run_id}/summary.json")


@pytest.mark.parametrize("status", ["FAILED", "TIMED_OUT", "ABORTED"])
def test_it_says_what_failed_and_why(results, status):
    assert write_failure_report(failed(status=status, error="E", cause="shard 3: full"), results)

    said = summary(results)
    assert RunReport.from_json(said).to_json() == said
    assert said["run_id"] == REQUEST.run_id
    assert (said["status"], said["error"], said["cause"]) == (status.lower(), "E", "shard 3: full")
    assert (said["scene"], said["model"]) == ("s3://b/incoming/x.tif", "ships")
    assert said["ended_at"] == "2026-11-21T12:00:10.000+00:00"


def test_a_run_without_words_has_some(results):
    assert write_failure_report(failed(status="ABORTED"), results)

    assert (summary(results)["error"], summary(results)["cause"]) == (
        "ABORTED",
        "the run was stopped by hand",
    )


def test_a_run_that_was_published_keeps_its_summary(results, merged):
    write_failure_report(failed(), results)
    publish_run(REQUEST, merged(5), results, backend="batch")
    before = summary(results)

    assert not write_failure_report(failed(at=ENDED + 9), results)

    assert summary(results) == before
    assert before["status"] == "succeeded"


def test_an_item_alone_says_that_the_run_was_published(results):
    """Check a run that was published before summaries existed."""
    storage.write_json(f"{results}/runs/{REQUEST.run_id}/item.json", {})

    assert not write_failure_report(failed(), results)


def test_an_earlier_failure_is_replaced_and_a_later_one_stays(results):
    for at, written in ((ENDED, True), (ENDED - 1, False), (ENDED + 1, True)):
        assert write_failure_report(failed(at=at, cause=str(at)), results) is written

    assert summary(results)["cause"] == str(ENDED + 1)


def test_a_summary_that_nobody_can_read_is_replaced(results):
    storage.write_bytes(f"{results}/runs/{REQUEST.run_id}/summary.json", b"[" * 9000)

    assert write_failure_report(failed(cause="new"), results)

    assert summary(results)["cause"] == "new"


def test_a_summary_that_comes_meanwhile_stays(results, monkeypatch):
    exists = storage.exists

    def publish_meanwhile(uri):
        storage.write_json(uri.replace("item.json", "summary.json"), {"status": "succeeded"})
        return exists(uri)

    monkeypatch.setattr(storage, "exists", publish_meanwhile)

    assert not write_failure_report(failed(), results)
    assert summary(results) == {"status": "succeeded"}


@pytest.mark.parametrize("detail", [{}, failed() | {"input": "{}"}, failed() | {"input": "["}])
def test_what_is_no_failed_run_is_refused(results, detail):
    with pytest.raises(PayloadError):
        write_failure_report(detail, results)


anything = st.text(st.characters(codec=None), max_size=30) | st.sampled_from(
    ["\0", "\ud800", "\x1b[2J", "[" * 100_000, '{"errorMessage": "\\u0000\\ud800"}', "\u2028"]
)


@given(error=st.none() | anything, cause=st.none() | anything)
def test_any_words_are_written_as_one_line(tmp_path_factory, error, cause):
    results = str(tmp_path_factory.mktemp("results"))

    assert write_failure_report(failed(error=error, cause=cause), results)

    said = summary(results)
    assert said["error"]
    assert said["cause"]
    assert "\n" not in said["cause"]
