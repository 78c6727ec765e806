"""Tests of moving the rows of the previous release, while both releases load and delete."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import psycopg
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.database import move_rows as module
from swath.database.connect import connect_dsn
from swath.database.load import load_run
from swath.database.measures import measure
from swath.database.migrate import migrate
from swath.database.move_rows import MoveProgress, move_rows
from swath.errors import TransientError
from tests.helpers import release_0004
from tests.helpers.fuzzing import draws
from tests.helpers.postgis import new_database, wait_for_blocked
from tests.helpers.release_0004 import boxes
from tests.helpers.runs import run_request

MANY = 60
CONTENT = (
    "SELECT id, run_id::text, class, score, tile, ST_AsBinary(geom) FROM swath.detections"
    " ORDER BY id"
)


def request(number, *, minutes=0):
    return run_request(str(minutes), uri=f"s3://scenes/{number}.tif", minutes=minutes)


def content(connection):
    with connection.transaction():
        return connection.execute(CONTENT).fetchall()


def runs(connection):
    """Return the number of rows of each scene, from both tables."""
    with connection.transaction():
        found = connection.execute("SELECT scene_uri FROM swath.scene_detections").fetchall()
    return Counter(uri for (uri,) in found)


def count(connection, table):
    with connection.transaction():
        query = f"SELECT count(*) FROM swath.{table}"  # noqa: S608 - the tests' own names
        return connection.execute(query).fetchone()[0]


@pytest.fixture
def old(empty_dsn):
    """Yield a connection to a migrated database with rows of the previous release."""
    with connect_dsn(empty_dsn) as connection:
        migrate(connection, revision="0004")
        for number in range(10):
            release_0004.load(connection, request(number), boxes(MANY + number, west=number))
        migrate(connection)
        yield connection


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(module, "_BATCH_ROWS", 7)


def test_every_row_is_the_same_after_the_move(old, small_batches):
    before, total = content(old), count(old, "detections_0004")
    assert move_rows(old, seconds=60) == MoveProgress(moved=total, remaining=0)
    assert content(old) == before
    assert count(old, "detection_rows") == total
    assert count(old, "detections_0004") == 0


def test_moved_rows_have_the_measures_that_a_load_gives(old):
    move_rows(old, seconds=60)
    rows = old.execute(
        "SELECT ST_AsBinary(geom, 'NDR'), cell, area_m2, length_m FROM swath.detection_rows"
    ).fetchall()
    wkb = [row[0] for row in rows]
    expected = measure(np.frombuffer(b"".join(wkb), "u1"), np.array(list(map(len, wkb))))
    np.testing.assert_array_equal([row[1] for row in rows], expected.cell)
    np.testing.assert_array_equal(
        np.array([row[2:] for row in rows], "f4").T, [expected.area_m2, expected.length_m]
    )


def test_no_batch_begins_once_the_time_is_over(old, small_batches):
    assert move_rows(old, seconds=0).moved == 0
    assert move_rows(old, seconds=0).remaining >= 10 * MANY
    assert count(old, "detections_0004") == count(old, "detections")


def test_a_batch_is_bounded_by_the_bytes_of_its_geometries(old, monkeypatch):
    monkeypatch.setattr(module, "_BATCH_BYTES", 1)
    sizes = []
    move = module._move_batch
    monkeypatch.setattr(
        module, "_move_batch", lambda *bounds: sizes.append(move(*bounds)) or sizes[-1]
    )
    move_rows(old, seconds=60)
    assert set(sizes) == {1}


def test_a_second_mover_moves_nothing(old, empty_dsn):
    with connect_dsn(empty_dsn) as other, module._alone(old) as is_alone:
        assert is_alone
        assert move_rows(other, seconds=60).moved == 0
    assert move_rows(old, seconds=60).remaining == 0


def test_rows_that_belong_to_no_run_stay(old):
    """Check rows that no view of scenes shows: of no run, or of an empty geometry."""
    release_0004.copy(old, "00000000-0000-8000-8000-000000000000", boxes(3))
    release_0004.copy(old, request(1).run_id, [("ship", 1, 1, shapely.Polygon())])
    old.commit()
    assert move_rows(old, seconds=60).remaining == 0
    assert count(old, "detections_0004") == 4


def test_other_shapes_are_moved_too(old):
    shape = shapely.Point(5, 5).buffer(0.1)
    split = shapely.MultiPolygon([shapely.box(179, 0, 180, 1), shapely.box(-180, 0, -179, 1)])
    shapes = [("ship", 1, 1, each) for each in (shape, split, shapely.box(0, 0, 1, 1))]
    release_0004.load(old, request(20), shapes)
    before = content(old)
    move_rows(old, seconds=60)
    assert content(old) == before


@pytest.mark.parametrize("at", ["between batches", "inside a batch"])
def test_a_move_that_is_killed_again_and_again_goes_on(old, empty_dsn, small_batches, at):
    before = content(old)
    kills = 0
    for _ in range(5):
        with connect_dsn(empty_dsn) as doomed, pytest.MonkeyPatch.context() as patched:
            kill_after(patched, doomed, old, batches=4, inside=at == "inside a batch")
            with pytest.raises(TransientError, match="moving rows"):
                move_rows(doomed, seconds=60)
            kills += 1
        assert content(old) == before
        assert 0 < count(old, "detections_0004") < len(before)
    wait_until_gone(old)
    assert move_rows(old, seconds=60).remaining == 0
    assert (content(old), kills) == (before, 5)


def kill_after(patched, doomed, admin, *, batches, inside):
    """Terminate a mover's connection, after some batches or after it took the rows of the next."""
    measured, done = module.measure, []

    def measure_or_die(*arguments):
        done.append(1)
        if inside and len(done) > batches:
            terminate(admin, doomed)
        return measured(*arguments)

    move = module._move_batch

    def move_or_die(*arguments):
        if not inside and len(done) >= batches:
            terminate(admin, doomed)
        return move(*arguments)

    patched.setattr(module, "measure", measure_or_die)
    patched.setattr(module, "_move_batch", move_or_die)


def terminate(admin, doomed):
    with admin.transaction():
        admin.execute("SELECT pg_terminate_backend(%s, 5000)", [doomed.info.backend_pid])


def wait_until_gone(connection):
    """Wait for the lock of a mover that is gone."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_lock(%s)", [module._LOCK_ID])
        connection.execute("SELECT pg_advisory_unlock(%s)", [module._LOCK_ID])


def test_a_load_that_waits_for_a_batch_replaces_its_rows(old, empty_dsn, merged, monkeypatch):
    """Check both releases, whose DELETE begins while a batch has taken the rows."""
    took, go_on = Event(), Event()
    measured = module.measure

    def measure_slowly(*arguments):
        took.set()
        assert go_on.wait(30)
        return measured(*arguments)

    def load_new():
        with connect_dsn(empty_dsn) as own:
            load_run(own, request(1, minutes=1), merged(5))

    def load_old():
        with connect_dsn(empty_dsn) as own:
            release_0004.load(own, request(2, minutes=1), boxes(6))

    monkeypatch.setattr(module, "measure", measure_slowly)
    with ThreadPoolExecutor(3) as pool, connect_dsn(empty_dsn) as watcher:
        moving = pool.submit(move_rows, old, seconds=60)
        assert took.wait(30)
        monkeypatch.setattr(module, "measure", measured)
        loads = [pool.submit(load_new), pool.submit(load_old)]
        wait_for_blocked(watcher, 2)
        go_on.set()
        for future in (moving, *loads):
            future.result(60)

    move_rows(old, seconds=60)
    found = runs(old)
    assert (found["s3://scenes/1.tif"], found["s3://scenes/2.tif"]) == (5, 6)
    assert sum(found.values()) == count(old, "detections") == count(old, "detection_rows")


def test_a_batch_gives_way_to_a_load_that_deletes_its_rows(old, empty_dsn):
    with connect_dsn(empty_dsn) as load:
        release_0004.delete(load, [request(3).run_id])
        assert move_rows(old, seconds=0.1).moved == 0
        assert move_rows(old, seconds=0.1).remaining > 0
        load.commit()
    assert move_rows(old, seconds=60).remaining == 0
    assert runs(old)["s3://scenes/3.tif"] == 0


def test_deleting_a_run_deletes_its_rows_from_both_tables(old, small_batches, monkeypatch):
    batches = iter([None] * 12)
    move = module._move_batch

    def move_some(*arguments):
        if next(batches, 1) == 1:
            raise psycopg.OperationalError("enough")
        return move(*arguments)

    monkeypatch.setattr(module, "_move_batch", move_some)
    with pytest.raises(TransientError):
        move_rows(old, seconds=60)
    with old.transaction():
        old.execute("DELETE FROM swath.runs WHERE scene_uri IN ('s3://scenes/0.tif',"
                    " 's3://scenes/1.tif', 's3://scenes/9.tif')")  # fmt: skip
    assert runs(old) == {f"s3://scenes/{n}.tif": MANY + n for n in range(2, 9)}
    assert count(old, "detections") == sum(MANY + n for n in range(2, 9))


ACTIONS = st.one_of(
    st.tuples(st.sampled_from(["old", "new"]), st.integers(0, 4), st.integers(0, 30)),
    st.tuples(st.just("delete"), st.integers(0, 4), st.just(0)),
    st.tuples(st.just("move"), st.integers(1, 5), st.integers(1, 40)),
    st.tuples(st.just("kill"), st.integers(0, 2), st.integers(1, 40)),
)


@pytest.mark.fuzz
@settings(
    max_examples=draws(15, fuzz=500),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(actions=st.lists(ACTIONS, max_size=12))
def test_whatever_happens_meanwhile_the_rows_are_those_of_the_latest_runs(server, merged, actions):
    with new_database(server) as dsn, connect_dsn(dsn) as connection:
        migrate(connection, revision="0004")
        expected = {}
        for number in range(5):
            release_0004.load(connection, request(number), boxes(20 + number))
            expected[f"s3://scenes/{number}.tif"] = 20 + number
        migrate(connection)
        for minute, (action, number, size) in enumerate(actions, start=1):
            act(connection, dsn, merged, action, number, size, minute)
            uri = f"s3://scenes/{number}.tif"
            if action in {"old", "new"}:
                expected[uri] = size
            elif action == "delete":
                expected[uri] = 0
            assert runs(connection) == Counter({k: n for k, n in expected.items() if n})
        assert move_rows(connection, seconds=60).remaining == 0
        assert runs(connection) == Counter({k: n for k, n in expected.items() if n})
        assert count(connection, "detections_0004") == 0


def act(connection, dsn, merged, action, number, size, minute):
    asked = request(number, minutes=minute)
    match action:
        case "old":
            release_0004.load(connection, asked, boxes(size))
        case "new":
            load_run(connection, asked, merged(size))
        case "delete":
            with connection.transaction():
                connection.execute("DELETE FROM swath.runs WHERE scene_uri = %s", [asked.scene.uri])
        case "move" | "kill":
            with connect_dsn(dsn) as mover, pytest.MonkeyPatch.context() as patched:
                patched.setattr(module, "_BATCH_ROWS", size)
                kill_after(patched, mover, connection, batches=number, inside=action == "kill")
                try:
                    move_rows(mover, seconds=60)
                except TransientError:
                    wait_until_gone(connection)


def test_tens_of_thousands_of_rows_are_moved_while_both_releases_load(empty_dsn, merged):
    rng = random.Random(1)
    with connect_dsn(empty_dsn) as connection:
        migrate(connection, revision="0004")
        for number in range(10):
            release_0004.load(connection, request(number), boxes(5000, west=number))
        migrate(connection)
        expected = {f"s3://scenes/{n}.tif": 5000 for n in range(10)}

        def load(number, release):
            size = rng.randint(1, 300)
            expected[f"s3://scenes/{number}.tif"] = size
            with connect_dsn(empty_dsn) as own:
                if release == "old":
                    release_0004.load(own, request(number, minutes=1), boxes(size))
                else:
                    load_run(own, request(number, minutes=1), merged(size))

        def move():
            with connect_dsn(empty_dsn) as own:
                return move_rows(own, seconds=300)

        with pytest.MonkeyPatch.context() as patched, ThreadPoolExecutor(3) as pool:
            patched.setattr(module, "_BATCH_ROWS", 1000)
            futures = [pool.submit(move)]
            futures += [pool.submit(load, n, ("old", "new")[n % 2]) for n in (9, 8, 1, 4, 12, 13)]
            for future in futures:
                future.result(300)
        move_rows(connection, seconds=300)
        assert runs(connection) == expected
        assert count(connection, "detection_rows") == sum(expected.values())
        assert count(connection, "detections_0004") == 0
