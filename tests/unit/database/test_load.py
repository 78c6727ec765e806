"""Tests of loads into a real PostGIS."""

import dataclasses
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import msgspec
import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import swath
from swath import storage
from swath.database import columns
from swath.database.connect import connect_dsn
from swath.database.failures import record_failure
from swath.database.load import load_run
from swath.errors import RunIncompleteError, SceneChangedError, TransientError
from swath.messages import Acquisition, LoadSummary, RunRequest
from swath.messages.execution_events import RunFailure
from tests.helpers.runs import NOON, run_request

WKT = "POLYGON((130 34,130 36,128 36,128 34,130 34))"
ACQUISITION = Acquisition(
    acquired_at="2026-11-20T10:11:12+00:00",
    platform="sentinel-2a",
    gsd=10.0,
    cloud_cover=12.5,
    sun_azimuth=160.0,
    sun_elevation=31.0,
    view_off_nadir=4.0,
    view_azimuth=281.0,
    view_incidence=5.0,
)


def rows(connection):
    found = connection.execute(
        "SELECT run_id::text, count(*) FROM swath.detections GROUP BY run_id"
    )
    return dict(found.fetchall())


def failure(request, *, status="failed"):
    return RunFailure(request=request, status=status, error="SceneError", cause="no", ended_at=NOON)


def statuses(connection):
    return dict(connection.execute("SELECT scene_etag, status FROM swath.runs").fetchall())


def test_a_run_s_detections_are_in_the_table(connection, merged):
    asked = run_request()

    summary = load_run(connection, asked, merged(250), backend="lambda")

    assert summary == LoadSummary(rows=250, superseded=False)
    assert rows(connection) == {asked.run_id: 250}
    one = connection.execute(
        "SELECT class, score, tile, ST_AsText(geom) FROM swath.detections WHERE tile = 101"
    ).fetchone()
    assert one == (
        "boat",
        pytest.approx(101 / 250),
        101,
        "POLYGON((102 0,102 1,101 1,101 0,102 0))",
    )


def test_the_run_s_row_holds_its_warnings(connection, merged):
    summary = msgspec.structs.replace(merged(3), warnings=["B02 is odd", 'a "quoted", {one}'])

    load_run(connection, run_request(), summary, backend="lambda")

    assert connection.execute("SELECT warnings FROM swath.runs").fetchone() == (
        ["B02 is odd", 'a "quoted", {one}'],
    )


def test_the_run_s_row_says_what_was_done(connection, merged):
    asked = run_request(
        sequencer="617f08299329d18900", requested_at=(NOON + timedelta(seconds=7)).isoformat()
    )
    load_run(connection, asked, merged(3), backend="lambda")

    cursor = connection.cursor(row_factory=psycopg.rows.dict_row)
    row = cursor.execute("SELECT *, ST_AsText(footprint) AS wkt FROM swath.runs").fetchone()

    assert (row.pop("footprint") is None, row.pop("wkt")) == (False, WKT)
    assert row.pop("summarized_at") == row["ended_at"]
    assert row.pop("ended_at") - row.pop("recorded_at") < timedelta(minutes=1)
    assert str(row.pop("run_id")) == asked.run_id
    assert row == {
        "scene_uri": "s3://scenes/incoming/x.tif",
        "scene_etag": "a",
        "scene_dropped_at": NOON,
        "scene_sequencer": "617F08299329D189",
        "requested_at": NOON + timedelta(seconds=7),
        "model": "ships",
        "model_digest": "d1",
        "options": {"backend": "batch", "tolerated_failures": 0.0},
        "backend": "lambda",
        "status": "succeeded",
        "error": None,
        "cause": None,
        "tiles_planned": 9,
        "tiles_succeeded": 6,
        "tiles_failed": 1,
        "tiles_skipped": 2,
        "detections": 3,
        "warnings": [],
        "run": 1,
        "scene_id": "s3://scenes/incoming/x.tif",
        "active": True,
        "software": swath.__version__,
        **dict.fromkeys(msgspec.structs.asdict(ACQUISITION), None),
        "valid_area_m2": None,
    }


def test_the_run_s_row_holds_when_and_how_the_scene_was_acquired(connection, merged):
    summary = msgspec.structs.replace(merged(3), acquisition=ACQUISITION, valid_area_m2=1e9)

    load_run(connection, run_request(), summary)
    record_failure(connection, failure(run_request(etag="b")))

    names = [*msgspec.structs.asdict(ACQUISITION), "valid_area_m2"]
    found = connection.execute(
        f"SELECT {', '.join(names)} FROM swath.runs ORDER BY scene_etag"  # noqa: S608
    ).fetchall()
    known = [*msgspec.structs.asdict(ACQUISITION).values(), 1e9]
    assert found == [
        (datetime.fromisoformat(ACQUISITION.acquired_at), *known[1:]),
        (None,) * len(names),
    ]


def test_a_run_that_fails_after_it_was_replaced_keeps_what_it_knew_of_its_scene(connection, merged):
    summary = msgspec.structs.replace(merged(3), acquisition=ACQUISITION, valid_area_m2=1e9)
    load_run(connection, run_request(), summary)
    load_run(connection, run_request("b", minutes=1), merged(1))
    late = dataclasses.replace(failure(run_request()), ended_at=NOON + timedelta(days=9999))

    assert record_failure(connection, late)

    assert connection.execute(
        "SELECT platform, valid_area_m2, ST_AsText(footprint), active FROM swath.runs"
        " WHERE status = 'failed'"
    ).fetchall() == [("sentinel-2a", 1e9, WKT, False)]


def test_the_outline_is_that_of_the_valid_pixels_where_the_file_has_it(connection, merged):
    summary = merged(3, valid_footprint=shapely.box(1, 2, 3, 4))
    load_run(connection, run_request(), summary)
    assert connection.execute("SELECT ST_AsText(footprint) FROM swath.runs").fetchone() == (
        "POLYGON((3 2,3 4,1 4,1 2,3 2))",
    )


def test_versions_of_an_item_replace_each_other_whatever_their_addresses(connection, merged):
    """Check that sequencers of two keys are not compared: the time of the drop decides."""
    old = item_request("s3://a/item.json", "a", sequencer="0B")
    new = item_request("s3://b/item.json", "b", sequencer="0A", minutes=1)
    other = item_request("s3://a/item.json", "c", scene_id="s2/other", minutes=1)
    for asked in (old, new, other):
        assert not load_run(connection, asked, merged(3)).superseded
    assert load_run(connection, old, merged(3)).superseded
    assert rows(connection) == {new.run_id: 3, other.run_id: 3}
    assert statuses(connection) == {"a": "superseded", "b": "succeeded", "c": "succeeded"}


def test_a_load_waits_for_one_of_another_address_of_the_item(connection, impatient, merged):
    load_run(connection, run_request(), merged(3))
    with connection.transaction():
        load_run(connection, item_request("s3://a/item.json", "a"), merged(3))
        with pytest.raises(TransientError, match="lock timeout"):
            load_run(impatient, item_request("s3://b/item.json", "b"), merged(3))


def item_request(uri, etag, *, scene_id="s2/item", **options):
    asked = run_request(etag, uri=uri, **options)
    scene = msgspec.structs.replace(asked.scene, scene_id=scene_id)
    return RunRequest.new(scene=scene, model=asked.model, options=asked.options)


def test_only_the_runs_with_current_detections_are_active(connection, merged):
    load_run(connection, run_request("a"), merged(3))
    load_run(connection, run_request("b", minutes=1), merged(3))
    record_failure(connection, failure(run_request("c")))
    found = connection.execute("SELECT scene_etag, active FROM swath.runs ORDER BY 1").fetchall()
    assert found == [("a", False), ("b", True), ("c", False)]


def test_the_view_joins_detections_to_their_scene_and_model(connection, merged):
    load_run(connection, run_request(), merged(3))
    found = connection.execute(
        "SELECT scene_uri, model, class, count(geom) FROM swath.scene_detections"
        " GROUP BY scene_uri, model, class ORDER BY class"
    ).fetchall()
    scene = ("s3://scenes/incoming/x.tif", "ships")
    assert found == [(*scene, "boat", 1), (*scene, "ship", 2)]


def test_loading_again_gives_the_same_rows(connection, merged):
    asked, merge = run_request(), merged(30)
    assert load_run(connection, asked, merge) == load_run(connection, asked, merge)
    assert rows(connection) == {asked.run_id: 30}


def test_a_scene_without_detections_is_a_run_all_the_same(connection, merged):
    assert load_run(connection, run_request(), merged(0)).rows == 0
    assert statuses(connection) == {"a": "succeeded"}


def test_a_file_larger_than_a_batch_arrives_whole_and_in_order(connection, merged, monkeypatch):
    monkeypatch.setattr(columns, "_BATCH_ROWS", 7)
    load_run(connection, run_request(), merged(100, row_group_size=33))
    tiles = connection.execute("SELECT tile FROM swath.detections ORDER BY id").fetchall()
    assert tiles == [(i,) for i in range(100)]


def test_memory_does_not_grow_with_the_file(tmp_path):
    group_bytes, groups = 1 << 20, 48
    rng = np.random.default_rng(0)
    schema = pa.schema({"class": pa.string(), "score": pa.float32(), "tile": pa.int64(),
                        "geometry": pa.binary()})  # fmt: skip
    with pq.ParquetWriter(tmp_path / "x", schema, compression="none") as out:
        for group in range(groups):
            wkb = [rng.bytes(group_bytes // 8) for _ in range(8)]
            out.write_table(pa.table([["ship"] * 8, [0.5] * 8, [group] * 8, wkb], schema=schema))
    before, peak, rows = pa.total_allocated_bytes(), 0, 0

    for batch in columns._batches(pq.ParquetFile(tmp_path / "x"), columns._COLUMNS):
        peak = max(peak, pa.total_allocated_bytes() - before)
        rows += batch.num_rows

    assert rows == 8 * groups
    assert peak < 8 * group_bytes


def test_a_later_version_replaces_the_earlier_one_s_rows(connection, merged):
    load_run(connection, run_request("a"), merged(30))
    later = run_request("b", minutes=1)
    load_run(connection, later, merged(20))
    assert rows(connection) == {later.run_id: 20}
    assert statuses(connection) == {"a": "replaced", "b": "succeeded"}


def test_an_earlier_version_that_comes_late_leaves_the_later_one(connection, merged):
    later = run_request("b", minutes=1)
    load_run(connection, later, merged(20))
    assert load_run(connection, run_request("a"), merged(30)) == LoadSummary(
        rows=0, superseded=True
    )
    assert rows(connection) == {later.run_id: 20}
    assert statuses(connection) == {"a": "superseded", "b": "succeeded"}


def test_a_version_that_was_put_back_replaces_what_replaced_it(connection, merged):
    for asked in (run_request("a"), run_request("b", minutes=1), run_request("a", minutes=2)):
        load_run(connection, asked, merged(10))
    assert rows(connection) == {run_request("a").run_id: 10}
    assert statuses(connection) == {"a": "succeeded", "b": "replaced"}


def test_other_scenes_and_other_models_keep_their_rows(connection, merged):
    kept = [run_request(uri="s3://scenes/incoming/y.tif"), run_request(model="trees")]
    for asked in kept:
        load_run(connection, asked, merged(5))
    load_run(connection, run_request("a", minutes=1), merged(5))
    assert rows(connection).keys() >= {asked.run_id for asked in kept}


def test_a_later_run_of_another_model_does_not_supersede(connection, merged):
    others = run_request(model="trees", minutes=1)
    load_run(connection, others, merged(4))
    assert not load_run(connection, run_request(), merged(3)).superseded
    assert rows(connection) == {others.run_id: 4, run_request().run_id: 3}


def test_a_later_version_that_failed_does_not_supersede(connection, merged):
    record_failure(connection, failure(run_request("b", minutes=1)))
    assert not load_run(connection, run_request("a"), merged(3)).superseded
    assert statuses(connection) == {"a": "succeeded", "b": "failed"}


def test_of_two_versions_dropped_at_once_the_one_that_is_loaded_later_stays(connection, merged):
    for etag in ("a", "b", "a"):
        assert not load_run(connection, run_request(etag), merged(3)).superseded
    assert statuses(connection) == {"a": "succeeded", "b": "replaced"}


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("00617F08299329D189", "00617F08299329D18A"),
        ("00617F08299329D189", "00617f08299329d18a"),
        ("00055AED6DCD90281E5", "00055AED6DCD90281E51"),
        ("0009", "000A"),
    ],
)
def test_sequencers_order_versions_whatever_their_times_say(connection, merged, earlier, later):
    """Check two versions within one second or with a wrong clock: S3's sequencers decide."""
    new, old = run_request("b", sequencer=later), run_request("a", minutes=9, sequencer=earlier)
    load_run(connection, new, merged(20))
    assert load_run(connection, old, merged(30)).superseded
    assert rows(connection) == {new.run_id: 20}


def test_a_sequencer_without_its_zeros_is_the_same(connection, merged):
    load_run(connection, run_request("b", sequencer="00AB00"), merged(2))
    assert not load_run(connection, run_request("a", sequencer="00ab"), merged(3)).superseded


def test_a_run_without_a_sequencer_goes_by_its_time(connection, merged):
    load_run(connection, run_request("a", minutes=1, sequencer="0A"), merged(1))
    assert load_run(connection, run_request("local"), merged(2)).superseded
    assert not load_run(connection, run_request("local", minutes=2), merged(2)).superseded
    assert not load_run(
        connection, run_request("c", minutes=3, sequencer="01"), merged(3)
    ).superseded


def test_an_old_execution_that_is_redriven_does_not_make_its_rows_older(connection, merged):
    """Check drops of A, B and A again: A is loaded for its last drop, then again for its first."""
    first, between, last = (
        run_request(etag, sequencer=number) for etag, number in (("a", "1"), ("b", "2"), ("a", "3"))
    )
    for request in (last, first):
        assert not load_run(connection, request, merged(3)).superseded
    assert load_run(connection, between, merged(2)).superseded
    assert rows(connection) == {first.run_id: 3}


def test_of_two_packages_for_one_drop_the_one_requested_later_stays(connection, merged):
    """Check an event that was handled twice, with a deployment in between.

    The older run ends last.
    """
    old, new = (
        run_request(sequencer="1", digest=f"d{i}", requested_at=f"2026-11-21T12:0{i}:00Z")
        for i in range(2)
    )
    load_run(connection, new, merged(2))
    assert load_run(connection, old, merged(3)).superseded
    assert rows(connection) == {new.run_id: 2}


def test_a_check_that_fails_changes_nothing(connection, merged):
    earlier = run_request("a")
    load_run(connection, earlier, merged(3))

    def check():
        raise SceneChangedError("replaced")

    with pytest.raises(SceneChangedError):
        load_run(connection, run_request("b", minutes=1), merged(4), check=check)
    assert rows(connection) == {earlier.run_id: 3}


def test_a_file_that_the_merge_did_not_write_is_not_loaded(connection, merged):
    summary = merged(3)
    pinned = msgspec.structs.replace(summary, etag=storage.etag(summary.uri))
    Path(summary.uri).write_bytes(Path(merged(3).uri).read_bytes())
    with pytest.raises(RunIncompleteError, match=r"parquet is not the file that this run wrote"):
        load_run(connection, run_request(), pinned)
    Path(summary.uri).write_bytes(b"PAR1")
    with pytest.raises(RunIncompleteError, match="is not a Parquet file"):
        load_run(connection, run_request(), summary)
    Path(summary.uri).unlink()
    with pytest.raises(RunIncompleteError, match=r"parquet is missing"):
        load_run(connection, run_request(), summary)
    assert rows(connection) == {}


@pytest.mark.parametrize("status", ["failed", "timed_out", "aborted"])
def test_a_run_without_a_result_is_not_replaced(connection, merged, status):
    record_failure(connection, failure(run_request("a"), status=status))
    load_run(connection, run_request("b", minutes=1), merged(3))
    assert statuses(connection) == {"a": status, "b": "succeeded"}


def test_a_run_that_was_superseded_stays_so(connection, merged):
    for etag, minutes in (("b", 1), ("a", 0), ("c", 2)):
        load_run(connection, run_request(etag, minutes=minutes), merged(3))
    assert statuses(connection) == {"a": "superseded", "b": "replaced", "c": "succeeded"}


@pytest.fixture
def impatient(dsn):
    """Yield a connection that fails instead of waiting for another one's lock."""
    with connect_dsn(dsn) as connection:
        connection.execute("SET lock_timeout = '100ms'")
        connection.commit()
        yield connection


def test_a_load_waits_for_one_of_the_same_scene_and_model(connection, impatient, merged):
    with connection.transaction():
        load_run(connection, run_request("a"), merged(3))
        with pytest.raises(TransientError, match="lock timeout"):
            load_run(impatient, run_request("b", minutes=1), merged(3))


def test_a_load_waits_for_none_of_another_scene_or_model(connection, impatient, merged):
    load_run(connection, run_request(), merged(3))  # the classes have numbers
    with connection.transaction():
        load_run(connection, run_request(), merged(3))
        for other in (run_request(model="trees"), run_request(uri="s3://scenes/y.tif")):
            assert load_run(impatient, other, merged(3)).rows == 3


def test_nobody_waits_for_a_load_that_is_over(connection, impatient, merged):
    load_run(connection, run_request("a"), merged(3))
    assert load_run(impatient, run_request("b", minutes=1), merged(4)).rows == 4
    with pytest.raises(RunIncompleteError):
        load_run(impatient, run_request("c", minutes=2), merged(3, claimed=4))
    assert load_run(connection, run_request("d", minutes=3), merged(3)).rows == 3


def test_deleting_a_run_deletes_its_detections_and_no_others(connection, merged):
    kept = run_request(model="trees")
    for asked in (run_request(), kept):
        load_run(connection, asked, merged(5))
    connection.execute("DELETE FROM swath.runs WHERE run_id = %s", [run_request().run_id])
    assert rows(connection) == {kept.run_id: 5}


def test_a_count_that_does_not_add_up_changes_nothing(connection, merged):
    earlier = run_request("a")
    load_run(connection, earlier, merged(30))
    with pytest.raises(RunIncompleteError, match="holds 19 detections, but the merge counted 20"):
        load_run(connection, run_request("b", minutes=1), merged(19, claimed=20))
    assert rows(connection) == {earlier.run_id: 30}
    assert statuses(connection) == {"a": "succeeded"}


def test_a_lost_connection_can_be_tried_again(dsn, connection, merged):
    with connect_dsn(dsn) as doomed:
        pid = doomed.info.backend_pid
        connection.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
        with pytest.raises(TransientError, match=r"loading run .* terminating connection"):
            load_run(doomed, run_request(), merged(3))


def test_a_failed_run_that_is_redriven_is_a_success(connection, merged):
    connection.execute(
        "INSERT INTO swath.runs (run_id, scene_uri, scene_etag, scene_dropped_at, model,"
        " model_digest, options, status, error, cause, ended_at)"
        " VALUES (%s, 's', 'a', now(), 'm', 'd', '{}', 'failed', 'SceneError', 'no', now())",
        [run_request().run_id],
    )
    connection.commit()
    load_run(connection, run_request(), merged(3))
    row = connection.execute("SELECT status, error, cause FROM swath.runs").fetchone()
    assert row == ("succeeded", None, None)


def test_versions_loaded_at_once_leave_the_latest(dsn, connection, merged):
    asked = [run_request(str(i), minutes=i) for i in range(6)]
    loads = [(each, merged(5 + i)) for i, each in enumerate(asked)] * 2
    random.shuffle(loads)

    def one(job):
        with connect_dsn(dsn) as own:
            load_run(own, *job)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, loads))

    assert rows(connection) == {asked[-1].run_id: 10}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(order=st.lists(st.integers(0, 3), min_size=1, max_size=8))
def test_in_whatever_order_versions_are_loaded_the_latest_stays(connection, merged, order):
    connection.execute("DELETE FROM swath.runs")
    connection.commit()
    for version in order:
        load_run(connection, run_request(str(version), minutes=version), merged(version + 1))

    latest = max(order)
    assert rows(connection) == {run_request(str(latest), minutes=latest).run_id: latest + 1}
    found = statuses(connection)
    assert [etag for etag, status in found.items() if status == "succeeded"] == [str(latest)]
    assert found.keys() == {str(version) for version in order}
