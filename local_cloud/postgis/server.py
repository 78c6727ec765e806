"""Run a local PostgreSQL server on a free port, and delete its files when it is closed."""

from __future__ import annotations

import logging
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg

from local_cloud.errors import LocalCloudError
from local_cloud.postgis import rds, tokens
from local_cloud.postgis.certificates import write_certificates
from local_cloud.postgis.installation import Installation, find_or_install, is_open_to_others

logger = logging.getLogger("local_cloud")

# Data need not survive a power failure, since none of it outlives the machine. Committed data does
# survive killing the server, as in Aurora.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "jit": "off",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "ssl": "on",
}
_START_TIMEOUT_SECONDS = 60.0


class PostgisServer:
    """PostgreSQL server with RDS's roles and authentication; its superuser needs no password.

    Attributes:
        host: Host as a name instead of an address, so that clients can verify the certificate.
        port: Port on which the server listens, once entered.
        endpoint_port: Port that users connect to, once it is known; tokens are issued for it.
        root_certificate: File for `PGSSLROOTCERT`.
        authorize: Function that returns the reason why the signer of a token may not connect; empty
            if it may. Only AWS's side of the local cloud knows the reason.
    """

    host = "localhost"

    def __init__(self) -> None:
        self.port = 0
        self.authorize: Callable[[tokens.Token], str] = lambda _: ""
        self.endpoint_port = 0
        self._tokens = tokens.TokenServer(self._accepts_token)
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        """Start the server.

        Raises:
            LocalCloudError: PostgreSQL is missing or does not start; the message states the reason.
        """
        installation = find_or_install()
        self._folder = Path(
            tempfile.mkdtemp(prefix="swath-postgis-", dir=_accessible_temporary_folder())
        )
        try:
            self._start(installation)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def administrator(self) -> dict[str, str]:
        """Parameters for libpq to connect as the superuser, without `dbname`."""
        return {"host": self.host, "port": str(self.port), "user": rds.SUPERUSER}

    def dsn(self, database: str = "postgres") -> str:
        """Return the superuser's connection string for a database."""
        return psycopg.conninfo.make_conninfo(**self.administrator, dbname=database)

    def restart(self, *, downtime: float = 0.0, crashed: bool = False) -> None:
        """Stop the server, and restart it with its data and on its port.

        Args:
            downtime: Time in s between stop and start.
            crashed: True if the server ends without a shutdown, and recovers at the start.

        Raises:
            LocalCloudError: The server does not restart; the message states the reason.
        """
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return
            self._stop(signal.SIGQUIT if crashed else signal.SIGINT)
            time.sleep(downtime)
            self._launch()

    def close(self) -> None:
        """Stop the server and delete its data."""
        with self._lock:
            if self._process and self._process.poll() is None:
                self._stop(signal.SIGINT)
        self._tokens.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _stop(self, stop_signal: signal.Signals) -> None:
        """Stop the server: SIGINT is PostgreSQL's "fast" shutdown, SIGQUIT its "immediate" one."""
        assert self._process is not None  # noqa: S101 - for mypy
        self._process.send_signal(stop_signal)
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait()

    def _start(self, installation: Installation) -> None:
        data = self._folder / "data"
        self.root_certificate = write_certificates(self._folder, host=self.host)
        # The server's user owns the data; functions read the authority's certificate.
        self._folder.chmod(0o711)
        self.root_certificate.chmod(0o644)
        user = _server_user()
        if user:
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, user.pw_uid, user.pw_gid)
        options: dict[str, Any] = {"env": installation.environment, "cwd": "/"}
        if user:
            options |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        _init_database(installation, data, options)
        rules = rds.format_hba_rules(self._tokens.listen(), tokens.USER_PREFIX)
        (data / "pg_hba.conf").write_text(rules, encoding="utf-8")
        self.port = _free_port()
        self._log = self._folder / "log"
        settings = _SETTINGS | {
            "port": str(self.port),
            "ssl_cert_file": str(self._folder / "server.crt"),
            "ssl_key_file": str(self._folder / "server.key"),
        }
        arguments = [word for k, v in settings.items() for word in ("-c", f"{k}={v}")]
        self._command = [str(installation.programs / "postgres"), "-D", str(data), *arguments]
        self._options = options
        self._launch()
        with psycopg.connect(self.dsn(), autocommit=True) as connection:
            rds.create_roles(connection)

    def _launch(self) -> None:
        # The log is truncated, so that it holds no messages of an earlier start.
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **self._options,
            )
        self._wait_until_ready()

    def _accepts_token(self, user: str, text: str) -> bool:
        """Return whether a token admits a user; the reason for a refusal is logged."""
        address, now = f"{self.host}:{self.endpoint_port or self.port}", datetime.now(UTC)
        try:
            token = tokens.Token.parse(text)
            reason = token.refusal_reason(user=user, address=address, now=now) or self.authorize(
                token
            )
        except ValueError as error:
            reason = str(error)
        if reason:
            logger.warning("the database refuses the token of %s: %s", user, reason)
        return not reason

    def _wait_until_ready(self) -> None:
        assert self._process is not None  # noqa: S101 - for mypy
        deadline = time.monotonic() + _START_TIMEOUT_SECONDS
        while b"ready to accept connections" not in self._log.read_bytes():
            if self._process.poll() is not None or time.monotonic() > deadline:
                text = self._log.read_text(errors="replace").strip()
                raise LocalCloudError(f"PostgreSQL does not start: {text[-500:]}")
            time.sleep(0.02)


def _init_database(installation: Installation, data: Path, options: dict[str, Any]) -> None:
    process = subprocess.run(
        [
            str(installation.programs / "initdb"),
            *("--pgdata", str(data), "--username", rds.SUPERUSER),
            *("--auth", "reject"),
            *("--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions"),
        ],
        capture_output=True,
        text=True,
        check=False,
        **options,
    )
    if process.returncode:
        raise LocalCloudError(f"initdb failed: {(process.stderr or process.stdout).strip()[-500:]}")


def _server_user() -> pwd.struct_passwd | None:
    """Return the user who runs the server instead of root, which it refuses; None: this user."""
    if os.geteuid() != 0:
        return None
    users = {entry.pw_name: entry for entry in pwd.getpwall()}
    return users.get("postgres") or users["nobody"]


def _accessible_temporary_folder() -> str | None:
    """Return a temporary folder that the server's user can access; None: the default one."""
    if os.geteuid() != 0:
        return None
    folder = Path(tempfile.gettempdir()).resolve()
    return str(folder) if is_open_to_others(folder) else "/tmp"  # noqa: S108 - mkdtemp is private


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
