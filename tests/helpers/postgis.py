"""Fixtures: a real PostGIS, one server a session, a fresh database for each test that asks.

Beside the superuser's there is a cluster as RDS would make it, whose master user is no superuser.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError
from psycopg import sql

from local_cloud.moto_patches import data_api
from local_cloud.postgis.database import Database
from local_cloud.postgis.server import PostgisServer
from swath.database.connect import connect_dsn
from swath.database.migrate import migrate
from swath.settings import DatabaseSettings, PrepareDatabaseSettings


@pytest.fixture(scope="session")
def postgis_server() -> Iterator[PostgisServer]:
    """A server of our own, with TLS."""
    with PostgisServer() as server:
        yield server


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> str:
    """Return the administrator's connection to our own server, or to SWATH_POSTGIS_SERVER's."""
    if url := os.environ.get("SWATH_POSTGIS_SERVER"):
        return url
    return request.getfixturevalue("postgis_server").dsn()


@pytest.fixture(scope="session")
def template(server: str) -> Iterator[str]:
    """The name of a migrated database, to be copied."""
    with new_database(server) as dsn:
        with connect_dsn(dsn) as connection:
            migrate(connection)
        yield psycopg.conninfo.conninfo_to_dict(dsn)["dbname"]


@pytest.fixture
def empty_dsn(server: str) -> Iterator[str]:
    """A database with nothing in it."""
    with new_database(server) as dsn:
        yield dsn


@pytest.fixture
def dsn(server: str, template: str) -> Iterator[str]:
    """A migrated database without rows."""
    with new_database(server, template) as dsn:
        yield dsn


@pytest.fixture
def connection(dsn: str) -> Iterator[psycopg.Connection]:
    """A connection to a migrated database without rows."""
    with connect_dsn(dsn) as connection:
        yield connection


@dataclass(frozen=True)
class Cluster:
    """A database with a master user, and the Data API in front of it."""

    database: Database
    settings: PrepareDatabaseSettings
    master: str
    password: str

    @property
    def user_settings(self) -> DatabaseSettings:
        """Return the connection settings of the functions."""
        return DatabaseSettings(
            database_host=self.database.host,
            database_port=self.database.port,
            database_name=self.settings.database_name,
            database_user=self.settings.database_user,
        )

    def execute(self, statement: str) -> list[list[dict[str, Any]]]:
        """The records that the Data API gives the master user."""
        return self.execute_statement(sql=statement)["records"]

    def execute_statement(self, **parameters: str) -> dict[str, Any]:
        """Stand for a client of the Data API."""
        name, statement = self.settings.database_name, parameters["sql"]
        try:
            return data_api.execute(
                self.database, name, statement, user=self.master, password=self.password
            )
        except JsonRESTError as error:
            answer = {"Error": {"Code": error.error_type, "Message": error.message}}
            raise ClientError(answer, "ExecuteStatement") from error

    def administer(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Execute a statement as a superuser, and return its rows."""
        dsn = self.database.dsn(self.settings.database_name)
        with psycopg.connect(dsn, autocommit=True) as connection:
            done = connection.execute(statement, parameters)
            return done.fetchall() if done.description else []


@pytest.fixture
def cluster(postgis_server: PostgisServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster as RDS has just made it: a database and its master user, who is no superuser."""
    monkeypatch.setenv("PGSSLROOTCERT", str(postgis_server.root_certificate))
    host, port = postgis_server.host, postgis_server.port
    made, tag = (
        Database(host=host, port=port, administrator=postgis_server.administrator),
        uuid.uuid4().hex,
    )
    settings = PrepareDatabaseSettings(
        cluster_arn="arn:cluster",
        master_secret_arn="arn:secret",
        database_name=f"cluster_{tag}",
        database_user=f"user_{tag}",
    )
    cluster = Cluster(made, settings, master=f"master_{tag}", password=tag)
    made.create(settings.database_name, owner=cluster.master, password=tag)
    yield cluster
    with psycopg.connect(postgis_server.dsn(), autocommit=True) as admin:
        admin.execute(f"DROP DATABASE {settings.database_name} WITH (FORCE)")
        for role in (settings.database_user, cluster.master):
            admin.execute(f"DROP ROLE IF EXISTS {role}")


@contextmanager
def new_database(server: str, template: str = "template0") -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as admin:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        admin.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        yield psycopg.conninfo.make_conninfo(server, dbname=name)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def wait_for_blocked(connection, number):
    """Return once some sessions of the database wait for a lock of another."""
    query = (
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    )
    while True:
        with connection.transaction():
            if connection.execute(query).fetchone()[0] >= number:
                return
