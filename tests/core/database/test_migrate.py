from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from swath.database.connect import connect_dsn
from swath.database.migrate import migrate
from swath.errors import SettingsError


def relations(connection):
    rows = connection.execute(
        "SELECT relname, obj_description(oid) FROM pg_class"
        " WHERE relnamespace = 'swath'::regnamespace AND relkind IN ('r', 'v')"
    )
    return dict(rows.fetchall())


def test_an_empty_database_gets_postgis_and_the_schema(empty_dsn):
    with connect_dsn(empty_dsn) as connection:
        assert migrate(connection) == "0001"
        assert relations(connection).keys() == {
            *("runs", "detections", "scene_detections", "migration"),
        }


def test_migrating_again_changes_nothing(connection):
    connection.execute(
        "INSERT INTO swath.runs (run_id, scene_uri, scene_etag, scene_dropped_at, model,"
        " model_digest, options, status, ended_at)"
        " VALUES (gen_random_uuid(), 's', 'e', now(), 'm', 'd', '{}', 'failed', now())"
    )
    connection.commit()
    assert migrate(connection) == "0001"
    assert connection.execute("SELECT count(*) FROM swath.runs").fetchone() == (1,)


def test_migrations_at_once_take_turns(empty_dsn):
    def one(_):
        with connect_dsn(empty_dsn) as connection:
            return migrate(connection)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == ["0001"] * 4


def test_every_relation_and_its_purpose_can_be_read_in_the_database(connection):
    described = relations(connection)
    del described["migration"]
    assert all(described.values())


def test_a_migration_leaves_the_connection_usable(empty_dsn):
    with connect_dsn(empty_dsn) as connection:
        migrate(connection)
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.IDLE
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.fixture
def humble(empty_dsn):
    """A user who may log in and no more."""
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        role = sql.Identifier(f"humble_{admin.info.dbname}")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
        yield admin, psycopg.conninfo.make_conninfo(empty_dsn, user=role.as_string()[1:-1])
        admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(role))
        admin.execute(sql.SQL("DROP ROLE {}").format(role))


def test_a_user_who_may_not_create_postgis_is_told_what_to_ask_for(humble):
    _, dsn = humble
    with (
        connect_dsn(dsn) as connection,
        pytest.raises(SettingsError, match=r"let an administrator .* run CREATE EXTENSION postgis"),
    ):
        migrate(connection)


def test_a_user_who_may_not_create_a_schema_is_told_what_to_ask_for(humble):
    admin, dsn = humble
    admin.execute("CREATE EXTENSION postgis")
    with (
        connect_dsn(dsn) as connection,
        pytest.raises(SettingsError, match=r"let an administrator .* run CREATE SCHEMA swath"),
    ):
        migrate(connection)


def test_a_user_needs_no_more_than_the_right_to_create_in_the_database(humble):
    admin, dsn = humble
    admin.execute("CREATE EXTENSION postgis")
    with connect_dsn(dsn) as connection:
        names = [sql.Identifier(connection.info.dbname), sql.Identifier(connection.info.user)]
        admin.execute(sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(*names))
        migrate(connection)
        admin.execute(sql.SQL("REVOKE CREATE ON DATABASE {} FROM {}").format(*names))
        assert migrate(connection) == "0001"
