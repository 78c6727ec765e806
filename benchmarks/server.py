"""A range server with latency that speaks as much S3 as reading needs, and counts what is asked.

It serves one folder as one bucket: HEAD and GET, path-style, with Range and If-Match. Each answer
waits for the latency first, as it would for a store some way off; answers overlap.
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
LATENCY = 0.02
"""s"""
_COUNTS = "/counts"
_END = b"\r\n\r\n"
_MISSING = b'<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>'
_REASONS = {200: "OK", 206: "Partial Content", 404: "Not Found", 412: "Precondition Failed"}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A server that is up."""

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

    def counts(self) -> list[list[Any]]:
        """Return the requests since the last call: method, first byte, number of bytes."""
        with urllib.request.urlopen(self.address + _COUNTS) as answer:  # noqa: S310 (this machine)
            asked: list[list[Any]] = json.load(answer)
        return asked


@contextmanager
def serving(folder: Path, latency: float = LATENCY) -> Iterator[Endpoint]:
    """Serve a folder from a process of its own."""
    command = [sys.executable, "-m", "benchmarks.server", str(folder), str(latency)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None  # noqa: S101 (it was asked for)
            yield Endpoint(int(process.stdout.readline()), process.pid)
        finally:
            process.terminate()


@dataclass(slots=True)
class Server:
    """Answers for the files of one folder."""

    folder: Path
    latency: float
    asked: list[tuple[str, int, int]] = field(default_factory=list)

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection, one after the other."""
        try:
            while True:
                method, path, headers = _parse(await reader.readuntil(_END))
                if path == _COUNTS:
                    writer.write(_answer(200, json.dumps(self.asked).encode()))
                    self.asked.clear()
                else:
                    await asyncio.sleep(self.latency)
                    await self._object(writer, method, path, headers)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client has what it wanted
        finally:
            writer.close()

    async def _object(
        self, writer: asyncio.StreamWriter, method: str, path: str, headers: dict[str, str]
    ) -> None:
        bucket, _, key = path.lstrip("/").partition("?")[0].partition("/")
        file = self.folder / key
        if bucket != BUCKET or not file.is_file():
            self.asked.append((method, 0, 0))
            writer.write(_answer(404, b"" if method == "HEAD" else _MISSING))
            return
        size, etag = file.stat().st_size, _etag(file)
        # GDAL drops the quotes, and S3 does not mind.
        if headers.get("if-match", etag).strip('"') != etag.strip('"'):
            self.asked.append((method, 0, 0))
            writer.write(_answer(412, b""))
            return
        start, stop = _range(headers.get("range"), size)
        self.asked.append((method, start, stop - start if method == "GET" else 0))
        more = {"ETag": etag, "Last-Modified": formatdate(file.stat().st_mtime, usegmt=True)}
        if "range" in headers:
            more["Content-Range"] = f"bytes {start}-{stop - 1}/{size}"
        writer.write(_head(206 if "range" in headers else 200, stop - start, more))
        if method == "GET":
            await writer.drain()
            with file.open("rb") as opened:
                loop = asyncio.get_running_loop()
                await loop.sendfile(writer.transport, opened, start, stop - start)


def _parse(request: bytes) -> tuple[str, str, dict[str, str]]:
    """Return the method, the path, and the headers by name in lower case."""
    first, *lines = request.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, path, _ = first.split(" ")
    pairs = (line.partition(":") for line in lines)
    return method, path, {name.lower(): value.strip() for name, _, value in pairs}


def _range(header: str | None, size: int) -> tuple[int, int]:
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


def _answer(status: int, body: bytes) -> bytes:
    return _head(status, len(body), {}) + body


def _head(status: int, length: int, more: dict[str, str]) -> bytes:
    headers = {"Content-Length": str(length), "Accept-Ranges": "bytes", **more}
    lines = [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([f"HTTP/1.1 {status} {_REASONS[status]}", *lines, "", ""]).encode()


async def serve(folder: Path, latency: float) -> None:
    """Serve until the process is ended; the port goes to standard output."""
    server = await asyncio.start_server(Server(folder, latency).connect, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), float(sys.argv[2])))
