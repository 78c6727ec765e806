"""Connect to the database."""

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

# Aurora takes about 15 s to resume, and longer after a day's pause. Until then, it delays or
# refuses connections.
# https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
MAX_WAKE_SECONDS = 60.0
"""Timeout in s for waking a paused cluster."""
MIN_CONNECT_SECONDS = 10
"""Minimum timeout in s of one attempt to connect."""

Connection = psycopg.Connection[tuple[Any, ...]]


def connect(settings: DatabaseSettings, *, timeout: float = MAX_WAKE_SECONDS) -> Connection:
    """Connect by IAM authentication, and wait for a paused cluster to wake.

    The caller's own credentials sign the token locally, without a request to AWS, so this works in
    a subnet without internet access. A server that requires no password ignores the token.

    Args:
        settings: Settings of the database.
        timeout: Timeout in s for waking the cluster.

    Raises:
        SettingsError: The certificates for verifying the server are missing.
        TransientError: The connection failed within `timeout`; the message has the reason.
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
    """Connect to the database of a libpq connection string or URL.

    Args:
        dsn: Connection string or URL.
        timeout: Time in s for retries; 0 makes one attempt.

    Raises:
        TransientError: The connection failed within `timeout`; the message has the reason.
        SettingsError: `dsn` is not a valid connection string.
    """
    try:
        return _connect(timeout, **psycopg.conninfo.conninfo_to_dict(dsn))
    except psycopg.ProgrammingError as error:
        raise SettingsError(
            f"the database connection string is not valid: {_one_line(error)}; "
            "write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
        ) from None
    except TransientError as error:
        raise TransientError(
            f"{str(error).rstrip('.?')}; check the address, the user and the password, and that "
            "the server runs"
        ) from error


@contextmanager
def transient_errors(activity: str) -> Iterator[None]:
    """Translate psycopg's OperationalError within the block into a TransientError.

    Such errors are the loss of a connection, a failover, a deadlock, or a schema that the
    deployment in progress has not migrated yet.

    Args:
        activity: Work of the block, as the beginning of the error message.

    Raises:
        TransientError: The database failed, and a retry can help.
    """
    try:
        yield
    except psycopg.OperationalError as error:
        raise TransientError(f"{activity}: {_one_line(error)}") from error
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable) as error:
        raise TransientError(
            f"{activity}: the database is not migrated to this release: {_one_line(error)}"
        ) from error


def _connect(timeout: float, **parameters: Any) -> Connection:
    deadline = time.monotonic() + timeout

    def attempt() -> Connection:
        remaining = max(int(deadline - time.monotonic()), MIN_CONNECT_SECONDS)
        return psycopg.connect(**{"connect_timeout": remaining, **parameters})

    try:
        return retry_while(_is_operational, timeout=timeout)(attempt)
    except psycopg.OperationalError as error:
        server = "{host}:{port}/{dbname} as {user}".format_map(_DefaultParameters(parameters))
        raise TransientError(f"no connection to {server}: {_one_line(error)}") from error


def _is_operational(error: BaseException) -> bool:
    return isinstance(error, psycopg.OperationalError)


class _DefaultParameters(dict[str, Any]):
    def __missing__(self, key: str) -> str:
        return f"(default {key})"


def _require_certificates(sslmode: str) -> None:
    """Check that the server's CA certificates exist, because libpq would fail only after a minute.

    Raises:
        SettingsError: `sslmode` needs the certificates, and `PGSSLROOTCERT` names no file.
    """
    if not sslmode.startswith("verify-"):
        return
    path = os.environ.get("PGSSLROOTCERT", "")
    if path != "system" and not Path(path or "?").is_file():
        raise SettingsError(
            f"sslmode is {sslmode}, but PGSSLROOTCERT is {path!r}, which is not a file; set it "
            "to the file of the database's CA certificates, for RDS "
            "https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
        )


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())
