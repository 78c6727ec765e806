import json
from datetime import UTC, datetime

import psycopg
import pytest

from swath.database.connect import connect_dsn
from swath.database.failures import record_failure
from swath.database.load import load_run
from swath.errors import PayloadError, TransientError
from swath.messages.execution_events import RunFailure
from tests.helpers.runs import run_request


def detail(status="FAILED", *, stop=datetime(2026, 11, 21, 13, tzinfo=UTC), **changes):
    """Return the detail of a Step Functions event about the execution of `run_request()`."""
    request = run_request()
    return {
        "executionArn": f"arn:aws:states:eu-west-1:1:execution:swath:{request.run_id}",
        "stateMachineArn": "arn:aws:states:eu-west-1:1:stateMachine:swath",
        "name": request.run_id,
        "status": status,
        "startDate": 1,
        "stopDate": int(stop.timestamp() * 1000),
        "input": json.dumps(request.to_json()),
        "inputDetails": {"included": True},
        "output": None,
        "error": "SceneError",
        "cause": json.dumps({"errorType": "SceneError", "errorMessage": "x.tif has no CRS"}),
    } | changes


def recorded(connection):
    return connection.execute(
        "SELECT run_id::text, scene_uri, status, error, cause FROM swath.runs"
    ).fetchall()


def test_a_failure_is_recorded_with_its_cause(connection):
    assert record_failure(connection, RunFailure.from_event_detail(detail()))
    request = run_request()
    row = (request.run_id, request.scene.uri, "failed", "SceneError", "x.tif has no CRS")
    assert recorded(connection) == [row]


def test_a_failure_is_there_for_others_at_once(connection, dsn):
    """Check that the failure is committed, although a function keeps its connection open."""
    record_failure(connection, RunFailure.from_event_detail(detail()))

    with connect_dsn(dsn) as other:
        assert len(recorded(other)) == 1


def test_a_failure_is_as_old_as_the_end_of_the_execution(connection):
    stop = datetime(2026, 11, 21, 13, 0, 0, 250_000, tzinfo=UTC)
    record_failure(connection, RunFailure.from_event_detail(detail(stop=stop)))
    assert connection.execute("SELECT ended_at FROM swath.runs").fetchone() == (stop,)


def test_a_failure_knows_nothing_of_tiles(connection):
    record_failure(connection, RunFailure.from_event_detail(detail()))
    row = connection.execute("SELECT tiles_planned, detections, backend FROM swath.runs").fetchone()
    assert row == (None, None, None)


@pytest.mark.parametrize(
    ("status", "cause"),
    [("TIMED_OUT", "exceeded its timeout"), ("ABORTED", "stopped by hand"), ("FAILED", "no cause")],
)
def test_an_end_without_a_cause_says_what_kind_of_end_it_was(status, cause):
    failure = RunFailure.from_event_detail(detail(status, error=None, cause=None))
    assert (failure.status, failure.error) == (status.lower(), status)
    assert cause in failure.cause


def test_recording_again_changes_nothing(connection):
    for _ in range(2):
        record_failure(connection, RunFailure.from_event_detail(detail()))
    assert len(recorded(connection)) == 1


def test_a_later_failure_of_the_run_overwrites_an_earlier_one_but_not_the_reverse(connection):
    later = datetime(2026, 11, 21, 14, tzinfo=UTC)
    record_failure(connection, RunFailure.from_event_detail(detail()))
    assert record_failure(
        connection, RunFailure.from_event_detail(detail(stop=later, cause="again"))
    )
    assert not record_failure(connection, RunFailure.from_event_detail(detail()))
    assert recorded(connection)[0][-1] == "again"


@pytest.mark.parametrize(
    "stop", [datetime(2026, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)]
)
def test_a_run_that_was_loaded_stays_a_success(connection, merged, stop):
    load_run(connection, run_request(), merged(3))
    assert not record_failure(connection, RunFailure.from_event_detail(detail(stop=stop)))
    assert recorded(connection)[0][2:] == ("succeeded", None, None)


def test_a_superseded_run_that_fails_later_says_failed(connection, merged):
    load_run(connection, run_request("b", minutes=1), merged(3))
    load_run(connection, run_request(), merged(3))
    earlier, later = datetime(2026, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    assert not record_failure(connection, RunFailure.from_event_detail(detail(stop=earlier)))
    assert record_failure(connection, RunFailure.from_event_detail(detail(stop=later)))
    statuses = connection.execute("SELECT scene_etag, status FROM swath.runs").fetchall()
    assert sorted(statuses) == [("a", "failed"), ("b", "succeeded")]


def test_a_failure_does_not_make_a_run_older_than_its_latest_drop(connection, merged):
    """Check a third drop that failed, if the failure of the first drop is reported late."""
    first, between, last = (
        run_request(e, sequencer=s) for e, s in (("a", "1"), ("b", "2"), ("a", "3"))
    )
    for request, hour in ((last, 13), (first, 14)):
        failure = RunFailure(
            request=request,
            status="failed",
            error="SceneError",
            cause="no",
            ended_at=datetime(2026, 11, 21, hour, tzinfo=UTC),
        )
        record_failure(connection, failure)
    load_run(connection, between, merged(2))
    assert not load_run(connection, first, merged(3)).superseded


def test_a_failure_leaves_the_rows_of_the_scene_s_earlier_version(connection, merged):
    load_run(connection, run_request("before"), merged(3))
    record_failure(connection, RunFailure.from_event_detail(detail()))
    assert connection.execute("SELECT count(*) FROM swath.detections").fetchone() == (3,)


@pytest.mark.parametrize(
    "broken",
    [
        {"status": "SUCCEEDED"},
        {"input": "{}"},
        {"input": "not JSON"},
        {"input": None},
        {"stopDate": None},
    ],
)
def test_what_is_not_a_failed_run_is_refused(broken):
    with pytest.raises(PayloadError):
        RunFailure.from_event_detail(detail(**broken))


def test_a_lost_connection_can_be_tried_again(dsn):
    with connect_dsn(dsn) as doomed, psycopg.connect(dsn) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", [doomed.info.backend_pid])
        with pytest.raises(TransientError, match="recording run"):
            record_failure(doomed, RunFailure.from_event_detail(detail()))


@pytest.mark.parametrize("letter", ["\0", "\ud800"])
@pytest.mark.parametrize("field", ["error", "cause", "message"])
def test_words_that_are_no_text_are_recorded(connection, field, letter):
    words = f"x{letter}.tif"
    if field == "message":
        field, words = "cause", json.dumps({"errorType": "E", "errorMessage": words})
    failure = RunFailure.from_event_detail(detail(**{field: words}))
    assert record_failure(connection, failure)
    (row,) = recorded(connection)
    assert "x?.tif" in row


def test_a_cause_of_deep_json_is_recorded(connection):
    failure = RunFailure.from_event_detail(detail(cause='{"a":' * 100_000 + "1" + "}" * 100_000))

    assert record_failure(connection, failure)
    (row,) = recorded(connection)
    assert any(str(cell).startswith('{"a":{"a":') for cell in row)


def test_an_event_with_no_text_where_a_word_of_some_is_expected_is_refused():
    with pytest.raises(PayloadError):
        RunFailure.from_event_detail(detail(status="\ud800"))


@pytest.mark.parametrize("stop", [10**18, -(10**18)])
def test_an_event_of_no_time_is_refused(stop):
    with pytest.raises(PayloadError, match=f"{stop} ms since 1970 is not a valid time"):
        RunFailure.from_event_detail(detail() | {"stopDate": stop})
