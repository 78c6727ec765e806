from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from psycopg import sql

from swath.database import migrate as module
from swath.database.connect import connect_dsn
from swath.database.load import load_run
from swath.database.migrate import migrate
from swath.database.move_rows import move_rows
from swath.errors import SettingsError, TransientError
from tests.helpers import release_0004
from tests.helpers.postgis import wait_for_blocked
from tests.helpers.release_0004 import boxes
from tests.helpers.runs import run_request

HEAD = "0006"


def relations(connection):
    rows = connection.execute(
        "SELECT relname, obj_description(oid) FROM pg_class"
        " WHERE relnamespace = 'swath'::regnamespace AND relkind IN ('r', 'v')"
    )
    return dict(rows.fetchall())


def test_an_empty_database_gets_postgis_and_the_schema(empty_dsn):
    with connect_dsn(empty_dsn) as connection:
        assert migrate(connection) == HEAD
        assert relations(connection).keys() == {
            *("runs", "detections", "scene_detections", "migration"),
            *("classes", "detection_rows", "detections_0004", "run_cells", "changes"),
        }


def test_migrating_again_changes_nothing(connection):
    connection.execute(
        "INSERT INTO swath.runs (run_id, scene_uri, scene_etag, scene_dropped_at, model,"
        " model_digest, options, status, ended_at)"
        " VALUES (gen_random_uuid(), 's', 'e', now(), 'm', 'd', '{}', 'failed', now())"
    )
    connection.commit()
    assert migrate(connection) == HEAD
    assert connection.execute("SELECT count(*) FROM swath.runs").fetchone() == (1,)


def test_a_database_of_a_later_release_is_left_as_it_is(empty_dsn):
    """Check a rollback: an earlier release meets a database that a later release has migrated."""
    with connect_dsn(empty_dsn) as connection:
        migrate(connection)
        connection.execute("ALTER TABLE swath.runs ADD COLUMN later int")
        connection.execute("UPDATE swath.migration SET version_num = '9999'")
        connection.commit()

        assert migrate(connection) == "9999"

        assert connection.execute("SELECT version_num FROM swath.migration").fetchall() == [
            ("9999",)
        ]
        assert connection.execute("SELECT later FROM swath.runs").fetchall() == []
        assert connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS


def test_migrations_at_once_take_turns(empty_dsn):
    def one(_):
        with connect_dsn(empty_dsn) as connection:
            return migrate(connection)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, range(4))) == [HEAD] * 4


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
    """Yield a user who may log in and has no other privilege."""
    with psycopg.connect(empty_dsn, autocommit=True) as admin:
        role = sql.Identifier(f"humble_{admin.info.dbname}")
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'secret'").format(role))
        user = role.as_string()[1:-1]
        yield admin, psycopg.conninfo.make_conninfo(empty_dsn, user=user, password="secret")
        for statement in (
            "REASSIGN OWNED BY {} TO CURRENT_USER",
            "DROP OWNED BY {}",
            "DROP ROLE {}",
        ):
            admin.execute(sql.SQL(statement).format(role))


def test_a_missing_privilege_for_postgis_names_the_statement(humble):
    _, dsn = humble
    with (
        connect_dsn(dsn) as connection,
        pytest.raises(
            SettingsError, match=r"an administrator .* must run CREATE EXTENSION postgis"
        ),
    ):
        migrate(connection)


def test_a_missing_privilege_for_the_schema_names_the_statement(humble):
    admin, dsn = humble
    admin.execute("CREATE EXTENSION postgis")
    with (
        connect_dsn(dsn) as connection,
        pytest.raises(SettingsError, match=r"an administrator .* must run CREATE SCHEMA swath"),
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
        assert migrate(connection) == HEAD


def test_a_reader_of_one_table_that_waits_for_the_other_does_not_fail(empty_dsn):
    with ThreadPoolExecutor(1) as pool, connect_dsn(empty_dsn) as connection:
        migrate(connection, revision="0004")
        with connect_dsn(empty_dsn) as reader, connect_dsn(empty_dsn) as watcher:
            reader.execute("SET deadlock_timeout = '700ms'")
            reader.execute("SELECT FROM swath.detections")
            migrating = pool.submit(migrate, connection)
            wait_for_blocked(watcher, 1)
            assert reader.execute("SELECT FROM swath.runs").fetchall() == []
            reader.commit()
            assert migrating.result(60) == HEAD


def columns(connection, table):
    query = f"SELECT * FROM swath.{table} LIMIT 0"  # noqa: S608 (the names are the test's)
    return list(connection.execute(query).description or ())


def rows(connection, table, names="*"):
    query = f"SELECT {names} FROM swath.{table} ORDER BY 1"  # noqa: S608 (the names are the test's)
    return connection.execute(query).fetchall()


@pytest.mark.parametrize("revision", ["0001", "0002", "0003", "0004"])
def test_what_an_earlier_release_has_loaded_stays(empty_dsn, merged, revision):
    with connect_dsn(empty_dsn) as connection:
        migrate(connection, revision=revision)
        names = {
            table: ", ".join(column.name for column in columns(connection, table))
            for table in ("runs", "detections", "scene_detections")
        }
        release_0004.load(connection, run_request(), boxes(3))
        before = {table: rows(connection, table, names[table]) for table in names}
        assert len(before["scene_detections"]) == 3

    with connect_dsn(empty_dsn) as connection:
        assert migrate(connection) == HEAD
        assert {table: rows(connection, table, names[table]) for table in before} == before
        move_rows(connection, seconds=60)
        assert {table: rows(connection, table, names[table]) for table in before} == before
        load_run(connection, run_request(minutes=1), merged(4))
        assert len(rows(connection, "detections")) == 4


def test_views_of_others_on_the_old_table_are_named(empty_dsn):
    with connect_dsn(empty_dsn) as connection:
        migrate(connection, revision="0004")
        connection.execute("CREATE VIEW public.mine AS SELECT class FROM swath.detections")
        connection.execute("CREATE VIEW public.yours AS SELECT class FROM swath.scene_detections")
        connection.commit()
        with pytest.raises(SettingsError, match=r"^the views mine read .* drop them"):
            migrate(connection)
        connection.execute("DROP VIEW public.mine")
        connection.commit()
        assert migrate(connection) == HEAD


def test_who_could_read_the_old_table_reads_what_replaces_it(humble):
    admin, dsn = humble
    with connect_dsn(psycopg.conninfo.make_conninfo(admin.info.dsn)) as connection:
        migrate(connection, revision="0004")
        names = sql.Identifier(user_of(dsn))
        for grant in ("USAGE ON SCHEMA swath", "SELECT ON swath.detections"):
            connection.execute(sql.SQL("GRANT " + grant + " TO {}").format(names))
        connection.commit()
        migrate(connection)

    with connect_dsn(dsn) as reader:
        for relation in ("detections", "detection_rows", "classes"):
            reader.execute(sql.SQL("SELECT FROM swath.{}").format(sql.Identifier(relation)))


def test_a_migration_waits_for_a_load_and_keeps_nobody_waiting_long(empty_dsn, monkeypatch):
    with connect_dsn(empty_dsn) as connection, connect_dsn(empty_dsn) as load:
        migrate(connection, revision="0004")
        load.execute("LOCK TABLE swath.detections IN ROW EXCLUSIVE MODE")
        monkeypatch.setattr(module, "MAX_LOCK_SECONDS", 0)
        with pytest.raises(TransientError, match="lock timeout"):
            migrate(connection)
        load.rollback()
        assert migrate(connection) == HEAD


def test_the_owner_of_the_database_reads_everything_in_it_and_changes_nothing(humble, merged):
    admin, dsn = humble
    names = [sql.Identifier(admin.info.dbname), sql.Identifier(user_of(dsn))]
    admin.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(*names))
    with connect_dsn(psycopg.conninfo.make_conninfo(admin.info.dsn)) as connection:
        migrate(connection)
        load_run(connection, run_request(), merged(3))
        connection.execute("CREATE TABLE swath.of_a_later_step ()")
        everything = [*relations(connection)]
        connection.commit()

    with connect_dsn(dsn) as owner:
        for relation in everything:
            owner.execute(sql.SQL("SELECT FROM swath.{}").format(sql.Identifier(relation)))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute("DELETE FROM swath.runs")


def user_of(dsn):
    return psycopg.conninfo.conninfo_to_dict(dsn)["user"]
