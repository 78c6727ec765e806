"""Fixtures: a real PostGIS, one server a session, a fresh database for each test that asks."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest
from psycopg import sql

from local_cloud.postgis.server import PostgisServer
from swath.database.connect import connect_dsn
from swath.database.migrate import migrate


@pytest.fixture(scope="session")
def postgis_server() -> Iterator[PostgisServer]:
    """A server of our own, with TLS."""
    with PostgisServer() as server:
        yield server


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> str:
    """How to connect as administrator to our own server, or to SWATH_DATABASE_URL's."""
    if url := os.environ.get("SWATH_DATABASE_URL"):
        return url
    own = request.getfixturevalue("postgis_server")
    return psycopg.conninfo.make_conninfo(
        host=own.host, port=own.port, user="postgres", dbname="postgres"
    )


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


@contextmanager
def new_database(server: str, template: str = "template0") -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server, autocommit=True) as admin:
        create = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        admin.execute(create.format(sql.Identifier(name), sql.Identifier(template)))
        yield psycopg.conninfo.make_conninfo(server, dbname=name)
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
