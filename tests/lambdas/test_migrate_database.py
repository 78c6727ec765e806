import psycopg
import pytest

from lambdas.migrate_database import handler as module
from swath.database.connect import connect_dsn
from swath.settings import DatabaseSettings


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
            "revision": "0005",
            "moved": 0,
            "remaining": 0,
        }
    )
    with connect_dsn(empty_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM swath.detections").fetchone() == (0,)
