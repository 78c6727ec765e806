"""Run one container of an endpoint as a process with its own port.

SageMaker's rules for starting, calling and stopping a container:
https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-inference-code.html
"""

from __future__ import annotations

import http.client
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from local_cloud.endpoints.specification import ContainerResponse, ServingSpec
from local_cloud.errors import LocalCloudError
from local_cloud.processes import BASE_ENVIRONMENT, create_scratch

# Limit in s for a serverless endpoint's container to respond to /ping:
# https://docs.aws.amazon.com/sagemaker/latest/dg/serverless-endpoints-invoke.html
DEFAULT_START_TIMEOUT_SECONDS = 180.0
# SageMaker waits for 30 s after SIGTERM; here the user waits for the cloud to end.
_STOP_TIMEOUT_SECONDS = 5.0
_MAX_LOG_CHARS = 2000
# Ports below those that Linux assigns to outgoing connections, which could otherwise conflict.
_PORTS = range(20_000, 32_000)


class StartError(LocalCloudError):
    """A container did not become ready; the message has the end of its log."""


class KilledError(StartError):
    """A signal ended a container before it was ready."""


class ServingProcess:
    """Running container; `start` waits until it responds."""

    def __init__(self, spec: ServingSpec, process: subprocess.Popen[bytes], port: int) -> None:
        self.spec = spec
        self._process = process
        self._port = port

    @classmethod
    def start(
        cls,
        spec: ServingSpec,
        *,
        model: Path,
        log: Path,
        seconds: float = DEFAULT_START_TIMEOUT_SECONDS,
    ) -> ServingProcess:
        """Start a container on an unpacked model, and wait for its `/ping`.

        Args:
            spec: Specification of the container.
            model: Folder of the unpacked model.
            log: File for the container's output.
            seconds: Maximum time until the container is ready, in s.

        Raises:
            StartError: The container ended, or was not ready in time and was stopped.
        """
        port = find_free_port()
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable if w in {"python", "python3"} else w for w in spec.command],
                cwd=spec.folder,
                env=process_environment(spec, model, port) | create_scratch(log),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        started = cls(spec, process, port)
        try:
            started._await_ping(seconds)
        except BaseException as error:
            started.close()
            if not isinstance(error, StartError):
                raise
            log_end = log.read_text(encoding="utf-8", errors="replace")[-_MAX_LOG_CHARS:].strip()
            raise type(error)(f"{error}; its log ends with:\n{log_end}") from None
        return started

    @property
    def is_alive(self) -> bool:
        """True if the process can accept another request."""
        return self._process.poll() is None

    def invoke(
        self, body: bytes, headers: Mapping[str, str], *, timeout: float
    ) -> ContainerResponse:
        """POST one request to `/invocations`.

        Raises:
            TimeoutError: No response came in time.
            OSError, http.client.HTTPException: The process ended meanwhile.
        """
        return self._request("POST", "/invocations", body, headers, timeout=timeout)

    def stop(self) -> None:
        """Ask the process to end."""
        if self.is_alive:
            self._process.terminate()

    def close(self) -> None:
        """End the process, and wait until it has ended."""
        self.stop()
        try:
            self._process.wait(_STOP_TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _await_ping(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        status = "none"
        while time.monotonic() < deadline:
            if not self.is_alive:
                # A negative return code is a signal.
                kind = KilledError if self._process.returncode < 0 else StartError
                raise kind(
                    f"the container of {self.spec.name} ended with exit status "
                    f"{self._process.returncode} before it responded to /ping"
                )
            try:
                response = self._request("GET", "/ping", timeout=2.0)  # SageMaker's own limit
            except (OSError, http.client.HTTPException):
                time.sleep(0.05)
                continue
            if response.is_ok:
                return
            status = str(response.status)
            time.sleep(0.05)
        raise StartError(
            f"the container of {self.spec.name} did not become ready in {seconds:.0f} s: "
            f"the last response to /ping was {status}"
        )

    def _request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float,
    ) -> ContainerResponse:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return ContainerResponse(response.status, response.read(), dict(response.getheaders()))
        finally:
            connection.close()


def find_free_port() -> int:
    """Return a port that no process listens on."""
    for port in random.sample(_PORTS, 100):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise LocalCloudError(f"no port is free between {_PORTS.start} and {_PORTS.stop}")


def process_environment(spec: ServingSpec, model: Path, port: int) -> dict[str, str]:
    """Return the variables of the process: the template's and SageMaker's.

    The port's variable is SageMaker's own. Two variables are swath's: the model's folder, since
    nothing is mounted at `/opt/ml/model` here, and the address that keeps the server off the
    network.
    """
    reserved = {
        "PYTHONPATH": os.pathsep.join(map(str, spec.python_path)),
        "PYTHONUNBUFFERED": "1",
        "SAGEMAKER_BIND_TO_PORT": str(port),
        "SM_MODEL_DIR": str(model),
        "SWATH_SERVE_HOST": "127.0.0.1",
    }
    return BASE_ENVIRONMENT | dict(spec.environment) | reserved
