"""A real https server with a certificate authority of its own, as archives have one, and faults."""

import os
import ssl
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from local_cloud.postgis.certificates import write_certificates
from swath.storage import https_client


@dataclass
class Archive:
    """Files that a server has, by name, and its faults.

    `fault` answers in the server's stead where it returns True; it is called with the handler.
    """

    port: int = 0
    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    fault: object = None
    requests: list[tuple[str, str, str]] = field(default_factory=list)

    def put(self, name, content):
        """Store a file, and return its address."""
        self.files[name] = content
        self.etags[name] = f'"{len(content):x}-{hash(content) & 0xFFFFFFFF:x}"'
        return self.address(name)

    def address(self, name):
        return f"https://localhost:{self.port}/{name}"

    @property
    def asked(self):
        """Names and ranges that were requested, in order."""
        return [(name, byte_range) for _, name, byte_range in self.requests]


class Handler(BaseHTTPRequestHandler):
    """Answers GET and HEAD with ranges and ETags."""

    protocol_version = "HTTP/1.1"
    archive: Archive

    def do_GET(self):
        name = unquote(urlsplit(self.path).path.lstrip("/"))
        self.archive.requests.append((self.command, name, self.headers.get("Range", "")))
        if self.archive.fault and self.archive.fault(self):
            return
        content = self.archive.files.get(name)
        if content is None:
            self.answer(404, {}, b"none")
        elif self.headers.get("If-Match", self.archive.etags[name]) != self.archive.etags[name]:
            self.answer(412, {}, b"")
        else:
            self.answer_range(content, {"ETag": self.archive.etags[name]})

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def answer_range(self, content, headers):
        start, end = self.wanted(len(content))
        if start >= len(content):
            self.answer(416, {"Content-Range": f"bytes */{len(content)}"}, b"")
            return
        where = f"bytes {start}-{end - 1}/{len(content)}"
        self.answer(206, headers | {"Content-Range": where}, content[start:end])

    def wanted(self, size):
        first, _, last = self.headers.get("Range", "").removeprefix("bytes=").partition("-")
        return int(first), min(size, int(last) + 1)

    def answer(self, status, headers, body, length=None):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):
        """Say nothing of connections that a client closed."""


@pytest.fixture(scope="session")
def _authority(tmp_path_factory):
    folder = tmp_path_factory.mktemp("authority")
    return write_certificates(folder, host="localhost")


@pytest.fixture
def https_archive(_authority, monkeypatch):
    """An empty archive at https://localhost, whose authority this process trusts."""
    archive = Archive()
    handler = type("ArchiveHandler", (Handler,), {"archive": archive})
    with Server(("127.0.0.1", 0), handler) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        folder = Path(_authority).parent
        context.load_cert_chain(folder / "server.crt", folder / "server.key")
        server.socket = context.wrap_socket(server.socket, server_side=True)
        archive.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setenv("SSL_CERT_FILE", str(_authority))
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        https_client.forget_connections()
        yield archive
        https_client.forget_connections()
        with suppress(OSError):
            server.shutdown()
        thread.join()
