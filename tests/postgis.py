"""Fixtures: a real PostGIS, one server a session, a fresh database for each test that asks."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from swath.database.connect import connect_dsn
from swath.database.migrate import migrate


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The address of a PostgreSQL server with PostGIS, without a database name."""
    if dsn := os.environ.get("SWATH_DATABASE_URL"):
        yield dsn
        return
    with private_server() as dsn:
        yield dsn


@contextmanager
def private_server() -> Iterator[str]:
    controls = sorted(Path("/usr/share/postgresql").glob("*/extension/postgis.control"))
    assert controls, "PostGIS is not installed"
    binaries = f"/usr/lib/postgresql/{controls[-1].parts[4]}/bin"
    user = ("postgres" if _has_user("postgres") else "nobody") if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="swath-test-pg-"))
    try:
        if user:
            shutil.chown(folder, user)
        data = str(folder / "data")
        _run(user, f"{binaries}/initdb", "-D", data, "-U", "swath", "-A", "trust", "--no-sync")
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        options = f"-p {port} -k '' -c listen_addresses=127.0.0.1 -c fsync=off -c jit=off"
        control = (f"{binaries}/pg_ctl", "-D", data, "-w")
        _run(user, *control, "-l", f"{folder}/log", "-o", options, "start")
        try:
            yield f"postgresql://swath@127.0.0.1:{port}/postgres"
        finally:
            _run(user, *control, "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder)


def _has_user(name: str) -> bool:
    return any(entry.pw_name == name for entry in pwd.getpwall())


def _run(user: str | None, *command: str) -> None:
    subprocess.run(
        command,
        check=True,
        user=user,
        extra_groups=[] if user else None,
        cwd="/",
        env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
        stdout=subprocess.DEVNULL,
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
