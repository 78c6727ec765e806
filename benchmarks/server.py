"""Serve a folder by the part of S3's API that reading needs, with latency, and record the requests.

The folder is one bucket: HEAD and GET, path-style, with Range and If-Match. Each response is
delayed by the latency of a remote store; responses overlap.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from pathlib import Path
from typing import Any

from benchmarks.worker import ROOT

BUCKET = "bench"
LATENCY_SECONDS = 0.02
"""Latency in s."""
_REQUESTS_PATH = "/counts"
_HEADERS_END = b"\r\n\r\n"
_NO_SUCH_KEY = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'
_REASON_PHRASES = {200: "OK", 206: "Partial Content", 404: "Not Found", 412: "Precondition Failed"}


@dataclass(frozen=True, slots=True)
class RunningServer:
    """Server that is ready."""

    port: int
    pid: int

    @property
    def address(self) -> str:
        """Address of the server, for boto3's AWS_ENDPOINT_URL."""
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """Environment of a process that uses this server as S3."""
        return {
            "AWS_ENDPOINT_URL": self.address,
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "eu-west-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def take_requests(self) -> list[list[Any]]:
        """Return the requests since the last call: method, first byte, number of bytes."""
        with urllib.request.urlopen(self.address + _REQUESTS_PATH) as response:  # noqa: S310 (this machine)
            requests: list[list[Any]] = json.load(response)
        return requests


@contextmanager
def run_server(folder: Path, latency: float = LATENCY_SECONDS) -> Iterator[RunningServer]:
    """Serve a folder from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.server", str(folder), str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 (narrows the type)
            yield RunningServer(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


@dataclass(slots=True)
class Server:
    """Server of the files in one folder."""

    folder: Path
    latency: float
    requests: list[tuple[str, int, int]] = field(default_factory=list)

    async def handle_connection(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Respond to the requests of one connection, one after the other."""
        try:
            while True:
                method, path, headers = _parse_request(await reader.readuntil(_HEADERS_END))
                if path == _REQUESTS_PATH:
                    writer.write(_format_response(200, json.dumps(self.requests).encode()))
                    self.requests.clear()
                else:
                    await asyncio.sleep(self.latency)
                    await self._send_object(writer, method, path, headers)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client closed the connection
        finally:
            writer.close()

    async def _send_object(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str]
    ) -> None:
        bucket, _, key = path.lstrip("/").partition("?")[0].partition("/")
        file = self.folder / key
        if bucket != BUCKET or not file.is_file():
            self.requests.append((method, 0, 0))
            writer.write(_format_response(404, b"" if method == "HEAD" else _NO_SUCH_KEY))
            return
        size, etag = file.stat().st_size, _etag(file)
        # GDAL drops the quotes, and S3 does not mind.
        if headers.get("if-match", etag).strip('"') != etag.strip('"'):
            self.requests.append((method, 0, 0))
            writer.write(_format_response(412, b""))
            return
        start, stop = _parse_range(headers.get("range"), size)
        self.requests.append((method, start, stop - start if method == "GET" else 0))
        extra_headers = {
            "ETag": etag,
            "Last-Modified": formatdate(file.stat().st_mtime, usegmt=True),
        }
        if "range" in headers:
            extra_headers["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        writer.write(_format_head(206 if "range" in headers else 200, stop - start, extra_headers))
        if method == "GET":
            await writer.drain()
            with file.open("rb") as content:
                loop = asyncio.get_running_loop()
                await loop.sendfile(writer.transport, content, start, stop - start)


def _parse_request(request: bytes) -> tuple[str, str, dict[str, str]]:
    """Return the method, the path, and the headers by name in lower case."""
    first, *lines = request.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return method, path, {name.lower(): value.strip() for name, _, value in pairs}


def _parse_range(header: str | None, size: int) -> tuple[int, int]:
    """Return the half-open range of bytes of a Range header."""
    if header is None:
        return 0, size
    first, _, last = header.removeprefix("bytes=").partition("-")
    if not first:
        return max(0, size - int(last)), size
    return int(first), min(size, int(last) + 1) if last else size


def _etag(file: Path) -> str:
    status = file.stat()
    return f'"{status.st_size:x}-{status.st_mtime_ns:x}"'


def _format_response(status: int, body: bytes) -> bytes:
    return _format_head(status, len(body), {}) + body


def _format_head(status: int, length: int, extra_headers: dict[str, str]) -> bytes:
    headers = {"Content-Length": str(length), "Accept-Ranges": "bytes", **extra_headers}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} {_REASON_PHRASES[status]}", *lines, "", ""]).encode()


async def serve(folder: Path, latency: float) -> None:
    """Serve until the process is ended; the port goes to standard output."""
    server = await asyncio.start_server(Server(folder, latency).handle_connection, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2])))
