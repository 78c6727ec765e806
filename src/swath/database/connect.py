"""Connections to the database."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import psycopg

from swath.database.waking import retry_while
from swath.errors import SettingsError, TransientError
from swath.settings import DatabaseSettings

# Aurora takes about 15 s to resume, longer after a day's pause; it holds or refuses connections.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
MAX_WAKE_SECONDS = 60.0
MIN_CONNECT_SECONDS = 10

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(settings: DatabaseSettings, *, timeout: float = MAX_WAKE_SECONDS) -> Connection:
    """Connect by IAM authentication, waiting for a paused cluster to wake.

    The token is signed with the caller's own credentials: no request leaves the machine, so this
    works in a subnet without a way out. A server that asks for no password ignores it.

    Raises:
        SettingsError: the server is to be verified, and the certificates to do so are not there.
        TransientError: no connection within `timeout` seconds; the message says why.
    """
    _require_certificates(settings.database_sslmode)
    token = boto3.client("rds").generate_db_auth_token(
        DBHostname=settings.database_host,
        Port=settings.database_port,
        DBUsername=settings.database_user,
    )
    return _connect(
        timeout,
        host=settings.database_host,
        port=settings.database_port,
        dbname=settings.database_name,
        user=settings.database_user,
        password=token,
        sslmode=settings.database_sslmode,
    )


def connect_dsn(dsn: str, *, timeout: float = 0.0) -> Connection:
    """Connect to the database that a libpq connection string or URL names.

    Raises:
        TransientError: no connection within `timeout` seconds; the message says why.
        SettingsError: this is no connection string.
    """
    try:
        return _connect(timeout, **psycopg.conninfo.conninfo_to_dict(dsn))
    except psycopg.ProgrammingError as error:
        raise SettingsError(
            f"not a database connection string: {_one_line(error)}; "
            "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None
    except TransientError as error:
        raise TransientError(
            f"{str(error).rstrip('.?')}; check the address, the user and the password, and that "
            "the server runs"
        ) from error


@contextmanager
def transient_errors(doing: str) -> Iterator[None]:
    """Turn the loss of a connection, a failover or a deadlock into a TransientError.

    Raises:
        TransientError: the database failed in a way that trying again can mend.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        raise TransientError(f"{doing}: {_one_line(error)}") from error


def _connect(timeout: float, **parameters: Any) -> Connection:
    deadline = time.monotonic() + timeout

    def attempt() -> Connection:
        remaining = max(int(deadline - time.monotonic()), MIN_CONNECT_SECONDS)
        return psycopg.connect(**{"connect_timeout": remaining, **parameters})

    try:
        return retry_while(_is_operational, timeout=timeout)(attempt)
    except psycopg.OperationalError as error:
        where = "{host}:{port}/{dbname} as {user}".format_map(_Default(parameters))
        raise TransientError(f"no connection to {where}: {_one_line(error)}") from error


def _is_operational(error: BaseException) -> bool:
    return isinstance(error, psycopg.OperationalError)


class _Default(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"(default {key})"


def _require_certificates(sslmode: str) -> None:
    """Say what is missing before libpq spends a minute finding out."""
    if not sslmode.startswith("verify-"):
        return
    path = os.environ.get("PGSSLROOTCERT", "")
    if path != "system" and not Path(path or "?").is_file():
        raise SettingsError(
            f"sslmode is {sslmode}, but PGSSLROOTCERT is {path!r}, which is no file; it must name "
            "the certificates of the database's authority, for RDS "
            "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
        )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
