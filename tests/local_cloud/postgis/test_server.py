"""Our own PostgreSQL server: real, verified, and gone when it is closed."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import psycopg
import pytest

from local_cloud.errors import LocalCloudError
from local_cloud.postgis import server as module
from local_cloud.postgis.certificates import write_certificates
from local_cloud.postgis.server import PostgisServer


def address(server: PostgisServer, **options: str) -> str:
    return psycopg.conninfo.make_conninfo(server.dsn(), **options)


def test_a_client_that_verifies_the_server_connects(postgis_server: PostgisServer):
    root = str(postgis_server.root_certificate)
    with psycopg.connect(
        address(postgis_server, sslmode="verify-full", sslrootcert=root, password="ignored")
    ) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS postgis")
        row = connection.execute("SELECT ST_AsText(ST_Point(1, 2))").fetchone()
        connection.rollback()

        assert connection.info.pgconn.ssl_in_use
    assert row == ("POINT(1 2)",)


def test_a_client_that_trusts_another_authority_is_refused_by_itself(
    postgis_server: PostgisServer, tmp_path: Path
):
    other = write_certificates(tmp_path, host="localhost")

    with pytest.raises(psycopg.OperationalError, match="SSL error"):
        psycopg.connect(address(postgis_server, sslmode="verify-full", sslrootcert=str(other)))


@pytest.mark.parametrize("crashed", [False, True])
def test_a_restart_ends_connections_and_keeps_committed_data(crashed: bool):
    with PostgisServer() as server, psycopg.connect(server.dsn()) as before:
        before.execute("CREATE TABLE kept AS SELECT 1 AS number")
        before.commit()
        before.execute("INSERT INTO kept VALUES (2)")
        server.restart(crashed=crashed)

        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")
        with psycopg.connect(server.dsn()) as after:
            assert after.execute("SELECT number FROM kept").fetchall() == [(1,)]


def test_a_server_that_is_closed_does_not_restart():
    with PostgisServer() as server:
        pass
    server.restart()

    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(server.dsn())


def test_nothing_is_left_of_a_closed_server():
    with PostgisServer() as server:
        folder = server.root_certificate.parent
        (pid, *_) = (folder / "data" / "postmaster.pid").read_text().split()

    assert not folder.exists()
    assert not Path("/proc", pid).exists()


def test_nothing_is_left_of_a_server_that_does_not_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "_SETTINGS", {"no_such_setting": "1"})

    # Not pytest's folder, which only its user can reach: PostgreSQL may run as another one.
    with tempfile.TemporaryDirectory(prefix="swath-test-") as folder:
        Path(folder).chmod(0o755)
        monkeypatch.setattr(module, "_accessible_temporary_folder", lambda: folder)
        with pytest.raises(LocalCloudError, match="no_such_setting"):
            PostgisServer().__enter__()

        assert list(Path(folder).iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root must hand its server to somebody else")
def test_root_hands_the_server_to_another_user(postgis_server: PostgisServer):
    data = postgis_server.root_certificate.parent / "data"

    assert data.stat().st_uid != 0
