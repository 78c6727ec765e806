"""An AWS service that gives the answers a test sets, over real HTTP to the real client."""

import json
import threading
from collections import deque
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from swath.sagemaker.client import shards


@dataclass(frozen=True)
class Answer:
    """An answer of the service; `error` is the name of an exception."""

    body: object = field(default_factory=dict)
    status: int = 200
    error: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self):
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class ReceivedRequest:
    """A request as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self):
        return json.loads(self.body)

    @property
    def action(self):
        """The operation, where the protocol names it."""
        return self.headers.get("x-amz-target", "").rpartition(".")[2]


@dataclass
class Service:
    """The requests received, and the answers to come."""

    url: str = ""
    asked: list[ReceivedRequest] = field(default_factory=list)
    answers: deque[Answer] = field(default_factory=deque)

    def answer(self, *answers):
        self.answers.extend(answers)


@pytest.fixture
def service():
    """A service on this machine; `url` is for `AWS_ENDPOINT_URL_…`."""
    found = Service()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            length = int(self.headers.get("Content-Length", 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            found.asked.append(ReceivedRequest(self.path, headers, self.rfile.read(length)))
            answer = found.answers.popleft()
            body = answer.content
            self.send_response(answer.status)
            if answer.error:
                self.send_header("x-amzn-errortype", answer.error)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            """Log nothing: the test reports what matters."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def runtime(service, monkeypatch):
    """SageMaker's runtime."""
    shards.runtime_client.cache_clear()
    monkeypatch.setenv("AWS_ENDPOINT_URL_SAGEMAKER_RUNTIME", service.url)
    yield service
    shards.runtime_client.cache_clear()


def refused(status, body, *, error="InputError"):
    """SageMaker's word that the container did not answer 200."""
    told = body if isinstance(body, str) else json.dumps({"error": error, **body})
    return Answer(
        {"Message": told, "OriginalStatusCode": status, "OriginalMessage": told},
        status=424,
        error="ModelError",
    )
