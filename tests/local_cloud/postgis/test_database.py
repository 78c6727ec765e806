"""The two kinds of database that a local cloud may stand on."""

from __future__ import annotations

import psycopg
import pytest

from local_cloud.errors import LocalCloudError
from local_cloud.postgis.database import Database, users_database
from local_cloud.postgis.server import PostgisServer


@pytest.fixture
def url(postgis_server: PostgisServer) -> str:
    return f"postgresql://postgres@{postgis_server.host}:{postgis_server.port}/postgres"


def databases(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_a_users_server_gets_a_fresh_database_that_is_dropped_at_the_end(url: str):
    before = databases(url)

    with users_database(url) as database:
        database.create("swath")
        made = databases(url) - before
        with psycopg.connect(database.dsn("swath")) as connection:
            assert {connection.info.dbname} == made

    assert databases(url) == before


def test_it_is_dropped_even_while_somebody_is_connected(url: str):
    before = databases(url)
    with users_database(url) as database:
        connection = psycopg.connect(database.dsn("any"))
    connection.close()

    assert databases(url) == before


def test_functions_are_told_of_the_fresh_database(url: str):
    with users_database(url) as database:
        assert database.environment == {
            "SWATH_DATABASE_NAME": database.fresh_database,
            "SWATH_DATABASE_SSLMODE": "prefer",
        }


@pytest.mark.parametrize(
    "bad", ["postgresql://postgres@127.0.0.1:1/postgres", "host=localhost port=none"]
)
def test_a_server_that_cannot_be_used_is_named_as_the_reason(bad: str):
    with pytest.raises(LocalCloudError, match="SWATH_DATABASE_URL"), users_database(bad):
        pass


def test_a_database_of_the_template_is_created_once(postgis_server: PostgisServer, url: str):
    database = Database(
        host=postgis_server.host,
        port=postgis_server.port,
        administrator={
            "host": postgis_server.host,
            "port": str(postgis_server.port),
            "user": "postgres",
        },
    )
    database.create("of_the_template")
    database.create("of_the_template")

    assert "of_the_template" in databases(url)
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP DATABASE of_the_template")
