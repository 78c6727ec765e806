"""Start, deploy to, call and stop a local cloud."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from psycopg import conninfo

from local_cloud.assembly import Assembly
from local_cloud.clients import ACCOUNT, ADMINISTRATOR_CREDENTIALS, REGION, Clients
from local_cloud.deployment import deploy, destroy
from local_cloud.errors import LocalCloudError
from local_cloud.faults.client import ActiveFault
from local_cloud.faults.kinds import Fault
from local_cloud.permissions.call_log import CALLS_FILE, read_calls
from local_cloud.permissions.policies import Call

ROOT = Path(__file__).resolve().parents[1]
_STOP_TIMEOUT_SECONDS = 30


class LocalCloud:
    """Local cloud that runs for the duration of a `with` block.

    Attributes:
        endpoint: URL of every service, for `AWS_ENDPOINT_URL`.
        region: Only region of the cloud.
        account: Only account of the cloud.
        folder: Folder of the logs, while the cloud runs.
        outputs: Outputs of the stack, once deployed.
    """

    region = REGION
    account = ACCOUNT

    def __init__(self, *, port: int = 0) -> None:
        self._port = port
        self.endpoint = ""
        self.outputs: dict[str, str] = {}
        self._superuser: dict[str, str] = {}
        self._fresh_database = ""
        self._server: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        """Start the cloud.

        Raises:
            LocalCloudError: The cloud cannot start; the message states the reason.
        """
        self.folder = Path(tempfile.mkdtemp(prefix="swath-cloud-"))
        self.folder.chmod(0o755)
        try:
            self._start()
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
    def logs(self) -> Path:
        """Folder of the logs: a file for each function and job attempt, and `cloud.log`."""
        return self.folder / "logs"

    def deploy(self, assembly: Path) -> dict[str, str]:
        """Create or update the stack of a synthesized assembly, and return its outputs.

        Raises:
            LocalCloudError: A resource could not be created or changed, and the stack was rolled
                back; the message names the resource.
        """
        self.outputs = deploy(Assembly.read(assembly), self)
        return self.outputs

    def destroy(self, assembly: Path) -> None:
        """Delete the stack of an assembly.

        Raises:
            LocalCloudError: The stack is protected, or a resource could not be deleted; the message
                names the resource.
        """
        destroy(Assembly.read(assembly).stack, self)
        self.outputs = {}

    @property
    def administrator(self) -> dict[str, str]:
        """Environment variables with which AWS's tools act as this cloud's administrator."""
        key, secret = ADMINISTRATOR_CREDENTIALS
        return {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret,
            "AWS_DEFAULT_REGION": self.region,
        }

    @property
    def calls(self) -> Iterator[tuple[Call, bool]]:
        """All distinct calls of roles so far, each with whether it was allowed."""
        return read_calls(self.folder / CALLS_FILE)

    def client(self, service: str) -> Any:
        """Return an administrator's boto3 client of this cloud."""
        return self._clients.get(service)

    @contextlib.contextmanager
    def fault(self, fault: Fault) -> Iterator[ActiveFault]:
        """Switch on a fault of AWS for the duration of the block.

        Args:
            fault: One of the faults in `local_cloud.faults.kinds`.

        Yields:
            The active fault; its `occurrences` is the number of times that the fault has occurred.
        """
        active = ActiveFault.switch_on(self.endpoint, fault)
        try:
            yield active
        finally:
            active.switch_off()

    def dsn(self, database: str = "swath") -> str:
        """Return the administrator's connection string for a database, named as in the template."""
        name = self._fresh_database or database
        return conninfo.make_conninfo(**self._superuser, dbname=name)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until the cloud ends or the time is over.

        Args:
            seconds: Maximum duration in s; None: no limit.

        Raises:
            LocalCloudError: The cloud ended by itself.
        """
        if self._server is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._server.wait(seconds)
        if self._server is not None and self._server.returncode is not None:
            raise LocalCloudError(f"its process ended unexpectedly:\n{self._read_log_end()}")

    def close(self) -> None:
        """End every process and delete every file of this cloud; repeated calls have no effect."""
        if self._server is not None:
            _stop_server(self._server)
            self._server = None
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self) -> None:
        check_port(self._port)
        self.logs.mkdir()
        with (self.logs / "cloud.log").open("wb") as log:
            self._server = subprocess.Popen(
                [sys.executable, "-m", "local_cloud.server", str(self.folder), str(self._port)],
                cwd=ROOT,
                # With cached bytecode, moto is imported in a third of the time.
                env={k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                # Ctrl-C at a terminal goes to a whole process group; the caller ends its cloud
                # itself.
                start_new_session=True,
            )
        assert self._server.stdout is not None  # noqa: S101 - for mypy
        line = self._server.stdout.readline()
        if not line:
            raise LocalCloudError(f"its process does not start:\n{self._read_log_end()}")
        ready = json.loads(line)
        if "error" in ready:
            raise LocalCloudError(ready["error"])
        self.endpoint = ready["endpoint"]
        self._clients = Clients(self.endpoint)
        self._superuser = ready["administrator"]
        self._fresh_database = ready["fresh_database"]

    def _read_log_end(self) -> str:
        return (self.logs / "cloud.log").read_text(errors="replace")[-2000:]


def check_port(port: int) -> None:
    """Refuse a port that is unavailable, since moto's server would wait for it forever.

    Raises:
        LocalCloudError: The port is in use, or this user may not listen on it.
    """
    with socket.socket() as listener:
        # Same option as the server's, so that the port of a cloud that has just ended is free.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise LocalCloudError(
                f"port {port} cannot be used ({reason}); choose another, or 0 for a free one"
            ) from error


@contextlib.contextmanager
def exit_on_signals() -> Iterator[None]:
    """Convert SIGTERM and SIGHUP into an exit, so that `with` blocks clean up."""

    def exit_with_status(number: int, _frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signals = (signal.SIGTERM, signal.SIGHUP)
    handlers = {number: signal.signal(number, exit_with_status) for number in signals}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _stop_server(server: subprocess.Popen[str]) -> None:
    """End the server by closing its input, then kill the rest of its process group."""
    with contextlib.suppress(OSError):
        if server.stdin:
            server.stdin.close()
    try:
        server.wait(_STOP_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)  # processes that a crashed server left
    if server.stdout:
        server.stdout.close()
