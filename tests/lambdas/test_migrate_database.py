import psycopg
import pytest

from lambdas.migrate_database import handler as module
from swath.database.connect import connect_dsn
from swath.database.migrate import migrate
from swath.database.move_rows import move_rows
from swath.settings import DatabaseSettings
from tests.helpers import release_0004
from tests.helpers.release_0004 import boxes
from tests.helpers.runs import run_request


@pytest.fixture
def empty_database_env(empty_dsn, set_env):
    parts = psycopg.conninfo.conninfo_to_dict(empty_dsn)
    set_env(
        DatabaseSettings(
            database_host=parts["host"],
            database_port=int(parts["port"]),
            database_name=parts["dbname"],
            database_user=parts["user"],
            database_sslmode="disable",
        )
    )


def test_an_empty_database_gets_the_schema(empty_dsn, empty_database_env, context):
    assert (
        module.handler({}, context)
        == module.handler({}, context)
        == {
            "revision": "0006",
            "moved": 0,
            "remaining": 0,
            "summarized": 0,
            "unsummarized": 0,
        }
    )
    with connect_dsn(empty_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM swath.detections").fetchone() == (0,)


def test_rows_of_an_earlier_release_are_moved_as_long_as_there_is_time(
    empty_dsn, empty_database_env, context, monkeypatch
):
    with connect_dsn(empty_dsn) as connection:
        migrate(connection, revision="0004")
        release_0004.load(connection, run_request(), boxes(30))
    with monkeypatch.context() as patched:
        patched.setattr(type(context), "get_remaining_time_in_millis", lambda _: 60_000)
        found = module.handler({}, context)
        assert found == {
            "revision": "0006",
            "moved": 0,
            "remaining": 30,
            "summarized": 0,
            "unsummarized": 1,
        }
    found = module.handler({}, context)
    assert found == {
        "revision": "0006",
        "moved": 30,
        "remaining": 0,
        "summarized": 1,
        "unsummarized": 0,
    }


def test_a_connection_that_is_lost_during_the_move_does_not_fail_the_deployment(
    empty_dsn, empty_database_env, context, monkeypatch
):
    def lose(connection, *, seconds):
        with connect_dsn(empty_dsn) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [connection.info.backend_pid])
        return move_rows(connection, seconds=seconds)

    monkeypatch.setattr(module, "move_rows", lose)
    found = module.handler({}, context)
    assert found["revision"] == "0006"
    assert found["error"].startswith("moving rows of an earlier release: ")
