"""The two kinds of database that a local cloud may stand on."""

from __future__ import annotations

import psycopg
import pytest

from local_cloud.errors import LocalCloudError
from local_cloud.postgis.database import create_on_user_server
from local_cloud.postgis.server import PostgisServer
from tests.helpers.postgis import Cluster


@pytest.fixture
def url(postgis_server: PostgisServer) -> str:
    return f"postgresql://rdsadmin@{postgis_server.host}:{postgis_server.port}/postgres"


def databases(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        return {name for (name,) in connection.execute("SELECT datname FROM pg_database")}


def test_a_users_server_gets_a_fresh_database_that_is_dropped_at_the_end(url: str):
    before = databases(url)

    with create_on_user_server(url) as database:
        database.create("swath", owner="pg_monitor", password="unused")
        made = databases(url) - before
        with psycopg.connect(database.dsn("swath")) as connection:
            assert {connection.info.dbname} == made

    assert databases(url) == before


def test_it_is_dropped_even_while_somebody_is_connected(url: str):
    before = databases(url)
    with create_on_user_server(url) as database:
        connection = psycopg.connect(database.dsn("any"))
    connection.close()

    assert databases(url) == before


def test_functions_get_the_name_of_the_fresh_database(url: str):
    with create_on_user_server(url) as database:
        assert database.environment == {
            "SWATH_DATABASE_NAME": database.fresh_database,
            "SWATH_DATABASE_SSLMODE": "prefer",
        }


@pytest.mark.parametrize(
    "bad", ["postgresql://postgres@127.0.0.1:1/postgres", "host=localhost port=none"]
)
def test_a_server_that_cannot_be_used_is_named_as_the_reason(bad: str):
    with pytest.raises(LocalCloudError, match="SWATH_POSTGIS_SERVER"), create_on_user_server(bad):
        pass


def test_a_database_of_the_template_is_created_once_and_belongs_to_its_master(cluster: Cluster):
    name, owner = cluster.settings.database_name, cluster.master
    cluster.database.create(name, owner=owner, password=cluster.password)

    with cluster.database.connect(name, user=owner, password=cluster.password) as connection:
        found = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchone()

    assert found == (owner,)


def test_on_a_users_server_the_master_has_no_more_rights_than_on_rds(url: str):
    with create_on_user_server(url) as database:
        database.create("swath", owner="swath_admin", password="unused")
        with database.connect("swath", user="swath_admin", password="unused") as connection:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute("CREATE EXTENSION postgis")
            connection.execute("CREATE SCHEMA of_the_owner")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE swath_admin")
