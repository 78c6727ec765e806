import socket
from urllib.parse import parse_qs, urlsplit

import psycopg
import pytest

from local_cloud.postgis.certificates import write_certificates
from swath.database import connect as module
from swath.database.connect import connect, connect_dsn
from swath.errors import SettingsError, TransientError
from swath.settings import DatabaseSettings


@pytest.fixture
def closed_port():
    """Yield a port on which no server listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        yield probe.getsockname()[1]


def settings_of(dsn, **changes):
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    return DatabaseSettings(
        **{
            "database_host": parts["host"],
            "database_port": int(parts["port"]),
            "database_name": parts["dbname"],
            "database_user": parts["user"],
            "database_sslmode": "disable",
        }
        | changes
    )


def test_settings_lead_to_a_connection(dsn):
    settings = settings_of(dsn)
    with connect(settings) as connection:
        found = connection.execute("SELECT current_user, current_database()").fetchone()
    assert found == (settings.database_user, settings.database_name)


@pytest.fixture
def verified(postgis_server):
    """Return settings for a server whose certificate is verified."""
    return DatabaseSettings(
        database_host=postgis_server.host,
        database_port=postgis_server.port,
        database_name="postgres",
        database_user="rdsadmin",
    )


def test_a_server_whose_certificate_is_known_is_trusted(postgis_server, verified, monkeypatch):
    monkeypatch.setenv("PGSSLROOTCERT", str(postgis_server.root_certificate))
    with connect(verified) as connection:
        found = connection.execute(
            "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
        ).fetchone()
    assert found == (True,)


def test_a_server_whose_certificate_is_another_s_is_not(verified, monkeypatch, tmp_path):
    monkeypatch.setenv("PGSSLROOTCERT", str(write_certificates(tmp_path, host="localhost")))
    with pytest.raises(TransientError, match="SSL error"):
        connect(verified, timeout=0)


def test_a_connection_string_leads_to_a_connection(dsn):
    with connect_dsn(dsn) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_the_password_is_a_token_for_the_user_and_the_server(monkeypatch):
    asked = {}
    monkeypatch.setattr(psycopg, "connect", lambda **parameters: asked.update(parameters))
    connect(DatabaseSettings(database_host="db.example", database_sslmode="require"))

    token = urlsplit("https://" + asked["password"])
    assert token.netloc == "db.example:5432"
    assert parse_qs(token.query)["Action"] == ["connect"]
    assert parse_qs(token.query)["DBUser"] == ["swath"]
    assert (asked["user"], asked["sslmode"]) == ("swath", "require")


def test_a_server_that_is_not_there_can_be_tried_again(closed_port):
    settings = DatabaseSettings(
        database_host="127.0.0.1", database_port=closed_port, database_sslmode="disable"
    )
    message = rf"no connection to 127\.0\.0\.1:{closed_port}/swath as swath: .*refused"
    with pytest.raises(TransientError, match=message):
        connect(settings, timeout=0)


def test_a_connection_string_to_nowhere_can_be_tried_again(closed_port):
    with pytest.raises(TransientError, match="refused"):
        connect_dsn(f"postgresql://127.0.0.1:{closed_port}/swath")


def test_what_is_no_connection_string_is_refused():
    with pytest.raises(SettingsError, match="the database connection string is not valid"):
        connect_dsn("the usual one")


def test_a_database_that_wakes_is_waited_for(dsn, monkeypatch):
    naps, failures = [], iter([psycopg.OperationalError("resuming")] * 3)
    real = psycopg.connect

    def drowsy(**parameters):
        if error := next(failures, None):
            raise error
        return real(**parameters)

    monkeypatch.setattr(psycopg, "connect", drowsy)
    monkeypatch.setattr("tenacity.nap.time.sleep", naps.append)
    with connect(settings_of(dsn)) as connection:
        assert not connection.closed
    assert len(naps) == 3


@pytest.mark.parametrize("value", [None, "", "/nowhere/ca.pem"])
def test_a_server_to_be_verified_needs_certificates(monkeypatch, value):
    if value is None:
        monkeypatch.delenv("PGSSLROOTCERT", raising=False)
    else:
        monkeypatch.setenv("PGSSLROOTCERT", value)
    with pytest.raises(SettingsError, match=r"PGSSLROOTCERT is .*truststore"):
        connect(DatabaseSettings(database_host="db.example"))


@pytest.mark.parametrize("value", ["a file", "system"])
def test_with_certificates_the_connection_is_tried(monkeypatch, tmp_path, value):
    if value == "a file":
        value = tmp_path / "ca.pem"
        value.touch()
    monkeypatch.setenv("PGSSLROOTCERT", str(value))
    monkeypatch.setattr(module, "_connect", lambda *_, **parameters: parameters["sslmode"])
    assert connect(DatabaseSettings(database_host="db.example")) == "verify-full"
