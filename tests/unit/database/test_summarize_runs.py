"""Tests of counting the rows of the previous release, while both releases load and delete."""

from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from swath.database import load as load_module
from swath.database import summarize_runs as module
from swath.database.check_summary import check_summary
from swath.database.connect import connect_dsn
from swath.database.load import load_run
from swath.database.migrate import migrate
from swath.database.move_rows import move_rows
from swath.database.summarize_runs import SummarizeProgress, summarize_runs
from swath.errors import TransientError
from tests.helpers import release_0004
from tests.helpers.postgis import wait_for_blocked
from tests.helpers.release_0004 import boxes
from tests.helpers.runs import run_request


def request(number, minutes=0):
    return run_request(str(minutes), uri=f"s3://scenes/{number}.tif", minutes=minutes)


@pytest.fixture
def load_old(monkeypatch):
    """Load as the previous release does: without counts, and without the column of their time."""

    def write_run(connection, row, **options):
        row = {name: value for name, value in row.items() if name != "summarized_at"}
        return write(connection, row, **options)

    write = load_module.write_run

    def load(*arguments):
        with monkeypatch.context() as patched:
            patched.setattr(load_module, "write_run", write_run)
            patched.setattr(load_module.CellCounts, "write", lambda *_: None)
            load_run(*arguments)

    return load


def unsummarized(connection):
    with connection.transaction():
        rows = connection.execute(
            "SELECT run FROM swath.runs WHERE active AND summarized_at IS NULL ORDER BY 1"
        ).fetchall()
    return [run for (run,) in rows]


def test_rows_of_the_previous_release_are_counted_in_batches(
    connection, merged, load_old, monkeypatch
):
    for number in range(5):
        load_old(connection, request(number), merged(30 + number))
    assert unsummarized(connection) == [1, 2, 3, 4, 5]
    assert check_summary(connection).differences == 0
    monkeypatch.setattr(module, "_BATCH_ROWS", 70)
    assert summarize_runs(connection, seconds=0) == SummarizeProgress(summarized=0, unsummarized=5)
    assert summarize_runs(connection, seconds=60) == SummarizeProgress(summarized=5, unsummarized=0)
    assert check_summary(connection).differences == 0
    counted = connection.execute("SELECT count(DISTINCT run) FROM swath.run_cells").fetchone()
    assert counted == (5,)


def test_a_load_of_the_previous_release_makes_the_counts_invalid(connection, merged, load_old):
    load_run(connection, request(1), merged(20))
    load_run(connection, request(2), merged(20))
    load_old(connection, request(1, minutes=1), merged(9))
    load_old(connection, request(2), merged(7))
    assert connection.execute("SELECT count(*) FROM swath.run_cells").fetchone() == (0,)
    assert summarize_runs(connection, seconds=60).summarized == 2
    assert check_summary(connection).differences == 0


def test_a_run_that_is_being_loaded_is_skipped(connection, dsn, merged, load_old):
    load_old(connection, request(1), merged(20))
    load_old(connection, request(2), merged(20))
    with connect_dsn(dsn) as load:
        load.execute("UPDATE swath.runs SET status = 'replaced' WHERE run = 1")
        assert summarize_runs(connection, seconds=60).summarized == 1
        load.commit()
    assert unsummarized(connection) == []
    rows = connection.execute("SELECT DISTINCT run FROM swath.run_cells").fetchall()
    assert rows == [(2,)]


def test_a_load_that_waits_for_a_batch_replaces_its_counts(connection, dsn, merged, load_old):
    load_old(connection, request(1), merged(20))
    with connect_dsn(dsn) as other, connect_dsn(dsn) as watcher, ThreadPoolExecutor(1) as pool:
        with connection.transaction():
            module._summarize(connection, module._take_runs(connection, 0))
            load = pool.submit(load_run, other, request(1, minutes=1), merged(5))
            wait_for_blocked(watcher, 1)
        load.result(60)
    assert check_summary(connection).differences == 0
    total = connection.execute("SELECT sum(n0 + n2 + n4 + n6 + n8) FROM swath.run_cells").fetchone()
    assert total == (5 * 4,)


def test_rows_that_are_not_moved_yet_are_counted_afterwards(empty_dsn):
    with connect_dsn(empty_dsn) as connection:
        migrate(connection, revision="0004")
        for number in range(3):
            release_0004.load(connection, request(number), boxes(30, west=number))
        migrate(connection)
        assert summarize_runs(connection, seconds=60) == SummarizeProgress(
            summarized=0, unsummarized=3
        )
        move_rows(connection, seconds=60)
        assert summarize_runs(connection, seconds=60).summarized == 3
        release_0004.load(connection, request(1, minutes=1), boxes(10))
        assert check_summary(connection).differences == 0
        assert summarize_runs(connection, seconds=60).unsummarized == 1
        move_rows(connection, seconds=60)
        assert summarize_runs(connection, seconds=60).unsummarized == 0
        assert check_summary(connection).differences == 0


def test_a_lost_connection_leaves_complete_batches(connection, dsn, merged, load_old, monkeypatch):
    for number in range(4):
        load_old(connection, request(number), merged(20))
    monkeypatch.setattr(module, "_BATCH_RUNS", 1)
    summarize, calls = module._summarize, []

    def die(own, runs):
        calls.append(runs)
        summarize(own, runs)
        if len(calls) == 3:
            with psycopg.connect(dsn) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [own.info.backend_pid])

    monkeypatch.setattr(module, "_summarize", die)
    with connect_dsn(dsn) as doomed, pytest.raises(TransientError, match="counting"):
        summarize_runs(doomed, seconds=60)
    assert unsummarized(connection) == [3, 4]
    assert check_summary(connection).differences == 0
    assert summarize_runs(connection, seconds=60).unsummarized == 0


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE swath.run_cells SET n0 = n0 + 1 WHERE level = 6",
        "DELETE FROM swath.run_cells WHERE level = 8",
        "DELETE FROM swath.detection_rows WHERE tile = 3",
        "UPDATE swath.detection_rows SET class = 3 - class WHERE tile = 3",
        "UPDATE swath.runs SET summarized_at = NULL",
        "INSERT INTO swath.run_cells SELECT (r).* FROM (SELECT r FROM swath.run_cells AS r) AS r",
        "UPDATE swath.run_cells SET run = 99",
    ],
)
def test_the_check_sees_every_difference(connection, merged, change):
    load_run(connection, request(1), merged(20))
    assert check_summary(connection).differences == 0
    connection.execute(change)
    found = check_summary(connection)
    assert found.differences > 0
    assert found.examples[0].startswith("run ")
