"""Serve the Lambda Runtime API, from which a runtime process gets events and returns results.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

from local_cloud.functions.specification import FunctionSpec, InvocationResult

API_PATH = "/2018-06-01/runtime"


@dataclass(slots=True)
class Invocation:
    """One event in progress."""

    payload: bytes
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    fetched: threading.Event = field(default_factory=threading.Event)
    """Event that is set once the process has fetched the event, or never will."""
    responses: queue.SimpleQueue[InvocationResult] = field(default_factory=queue.SimpleQueue)


class RuntimeApi:
    """Runtime API of one process, which gets one event at a time."""

    def __init__(self, function: FunctionSpec) -> None:
        self.function = function
        self._waiting: queue.SimpleQueue[Invocation | None] = queue.SimpleQueue()
        self._current: Invocation | None = None
        handler = type("Handler", (_Handler,), {"api": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def current(self) -> Invocation | None:
        """Event without a result yet; None if there is none."""
        return self._current

    @property
    def address(self) -> str:
        """Address for `AWS_LAMBDA_RUNTIME_API`."""
        return f"127.0.0.1:{self._server.server_port}"

    def put(self, invocation: Invocation) -> None:
        """Queue an event for the process."""
        self._current = invocation
        self._waiting.put(invocation)

    def next(self) -> Invocation | None:
        """Wait for the next event; return None if the environment is closing."""
        invocation = self._waiting.get()
        if invocation is not None:
            invocation.fetched.set()
        return invocation

    def complete(self, response: InvocationResult, request_id: str | None = None) -> None:
        """Complete the current invocation; a late result of another one is dropped."""
        if (current := self._current) and request_id in {None, current.request_id}:
            self._current = None
            current.responses.put(response)
            current.fetched.set()

    def close(self) -> None:
        """Stop serving."""
        self._waiting.put(None)
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    """HTTP handler of the API; each process has a subclass with its own `api`."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    api: ClassVar[RuntimeApi]

    def do_GET(self) -> None:
        if self.path != f"{API_PATH}/invocation/next":
            self._reply(HTTPStatus.NOT_FOUND)
        elif invocation := self.api.next():
            self._reply(HTTPStatus.OK, invocation.payload, _headers(self.api, invocation))
        else:
            self.close_connection = True  # no process is left to read a response

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        *_, request_id, outcome = self.path.split("/")
        if outcome not in {"response", "error"}:
            self._reply(HTTPStatus.NOT_FOUND)
            return
        response = InvocationResult(body, failed=outcome == "error")
        self.api.complete(response, None if request_id == "init" else request_id)
        self._reply(HTTPStatus.ACCEPTED, b'{"status":"OK"}')

    def _reply(
        self, status: HTTPStatus, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: Any) -> None:
        """Log nothing: users read the function's own log."""


def _headers(api: RuntimeApi, invocation: Invocation) -> dict[str, str]:
    now = time.time()
    trace = f"1-{int(now):08x}-{uuid.uuid4().hex[:24]}"
    return {
        "Content-Type": "application/json",
        "Lambda-Runtime-Aws-Request-Id": invocation.request_id,
        "Lambda-Runtime-Deadline-Ms": str(int((now + api.function.timeout) * 1000)),
        "Lambda-Runtime-Invoked-Function-Arn": api.function.arn,
        "Lambda-Runtime-Trace-Id": f"Root={trace};Sampled=0",
    }
