"""Runs commands with their faults, as processes, and reads what they say."""

import json
import os
import re
import resource
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from tests.errors.fault import Fault

LIMIT_SECONDS = 120
_STATUS = {"NoSuchBucket": 404, "SlowDown": 503, "InternalError": 500}
# Root without its power to pass over permissions; whoever else runs this has none.
_POWERLESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
_ROOT = Path(__file__).resolve().parents[2]
# A disk of the process's own; whoever may mount none elsewhere may do so in a namespace of users.
_SMALL_DISK = (
    "unshare", "--map-root-user", "--mount", "sh", "-c",
    'mount -t tmpfs -o size=4k tmpfs full && exec "$0" "$@"',
)  # fmt: skip
_TEXT = b"This is no image.\n"
_MISSING = (
    "import sys; sys.modules.update(dict.fromkeys({modules})); "
    "from swath.__main__ import main; main()"
)


@dataclass(frozen=True)
class Said:
    """The output and exit status of a command, and the processor time that it used."""

    code: int
    lines: list[str]
    seconds: float


class _Refusing(BaseHTTPRequestHandler):
    """Answer as AWS would: with the error whose code is the first part of the path."""

    def _answer(self):
        code = self.path.split("/")[1]
        length = int(self.headers.get("Content-Length") or 0)
        self.rfile.read(length)
        if "json" in self.headers.get("Content-Type", "") or "X-Amz-Target" in self.headers:
            body = f'{{"__type": "{code}", "message": "not today"}}'.encode()
        else:
            inner = f"<Error><Code>{code}</Code><Message>not today</Message></Error>"
            query = "form" in self.headers.get("Content-Type", "")
            body = (f"<ErrorResponse>{inner}</ErrorResponse>" if query else inner).encode()
        self.send_response(_STATUS.get(code, 400 if "Token" in code or "ing" in code else 403))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815 (the library's names)

    def log_message(self, *_):
        """Say nothing."""


class _Texts(_Refusing):
    """Answer as S3 would where each key of each bucket is an object: a text."""

    def _answer(self):
        body = _TEXT
        part = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")
        start, end = int(part[0]), min(int(part[1] or len(body) - 1), len(body) - 1)
        ranged = "Range" in self.headers
        self.send_response(206 if ranged else 200)
        if ranged:
            self.send_header("Content-Range", f"bytes {start}-{end}/{len(body)}")
        self.send_header("ETag", '"0123456789abcdef"')
        self.send_header("Content-Length", str(end + 1 - start))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body[start : end + 1])

    do_GET = do_HEAD = do_POST = do_PUT = _answer  # noqa: N815 (the library's names)


@contextmanager
def _served(handler):
    """The URL of a server, for as long as the block lasts."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def services():
    """The services beside the commands: the values of their names in words and environment."""
    with (
        _served(_Refusing) as aws,
        _served(_Texts) as s3,
        socket.socket() as closed,
        socket.socket() as used,
    ):
        # Bound and not listening: connections are refused, and nobody else can take it.
        closed.bind(("127.0.0.1", 0))
        used.bind(("127.0.0.1", 0))
        used.listen()
        ports = {"closed": closed, "used": used}
        yield {
            "aws": aws,
            "s3": s3,
            **{name: str(one.getsockname()[1]) for name, one in ports.items()},
        }


def environment(fault: Fault, known: dict[str, str]) -> dict[str, str]:
    """The environment of the command: credentials that open nothing, and the fault's own."""
    found = os.environ | {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "OMP_NUM_THREADS": "1",
        "COLUMNS": "80",
        "NO_COLOR": "1",
        "POWERTOOLS_TRACE_DISABLED": "true",
        "POWERTOOLS_LOG_LEVEL": "CRITICAL",
        "PYTHONPATH": os.pathsep.join([str(_ROOT), str(_ROOT / "src")]),
    }
    for name in ("SWATH_DATABASE_URL", "SWATH_POSTGIS_SERVER"):
        found.pop(name, None)
    for name, value in fault.env.items():
        found.pop(name, None)
        if value is not None:
            found[name] = filled(value, known)
    return found


def filled(word: str, known: dict[str, str]) -> str:
    """Return the word with the addresses of services in place of their names."""
    return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], word)


class Forks:
    """Commands in forks of one process, which has imported swath already."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ
            | {"PYTHONPATH": str(_ROOT)}
            | {"OMP_NUM_THREADS": "1", "COLUMNS": "80", "NO_COLOR": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def provoke(self, fault: Fault, folder: Path, known: dict[str, str]) -> Said:
        """Run the command in the folder: as a fork where that is possible."""
        apart = fault.missing or fault.as_nobody or fault.full_disk
        if apart or fault.words[:2] == ("local", "up"):
            return provoke(fault, folder, known)
        asked = {
            "program": fault.program,
            "words": [filled(word, known) for word in fault.words],
            "folder": str(folder),
            "environment": environment(fault, known),
            "largest_file": fault.largest_file,
        }
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        told = json.loads(self._server.stdout.readline())
        return Said(told["code"], masked(told["err"], folder, known), told["seconds"])


def provoke(fault: Fault, folder: Path, known: dict[str, str]) -> Said:
    """Run the command in the folder."""
    words = [filled(word, known) for word in fault.words]
    start = ["-m", "swath"]
    if fault.missing:
        start = ["-c", _MISSING.format(modules=fault.missing.split(", "))]

    def limit():
        if fault.largest_file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (fault.largest_file,) * 2)

    before = _POWERLESS if fault.as_nobody and not os.getuid() else ()
    before = _SMALL_DISK if fault.full_disk else before
    began = _processor_seconds()
    ran = subprocess.run(
        [*before, sys.executable, *start, *words],
        cwd=folder,
        env=environment(fault, known),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=LIMIT_SECONDS,
        preexec_fn=limit,
    )
    seconds = _processor_seconds() - began
    text = ran.stderr.decode(errors="replace")
    return Said(ran.returncode, masked(text, folder, known), seconds)


def masked(text: str, folder: Path, known: dict[str, str]) -> list[str]:
    """The lines of a text, without what differs between machines."""
    for name, value in known.items():
        text = text.replace(value, f"<{name}>")
    text = text.replace(f"{_ROOT}/", "<swath>/")
    text = text.replace(f"{folder}/", "").replace(str(folder), "<here>")
    text = re.sub(r"0x[0-9a-f]{6,}", "<address>", text)
    text = re.sub(r"\.work-\w{8}", ".work-<some>", text)
    return [line for line in text.splitlines() if line.strip() and not _is_beside(line)]


def _is_beside(line):
    """Return True for a line that a server logs in any case, or argparse's usage: no error."""
    return line.startswith(("INFO ", "usage: ", "  "))


def may_mount() -> bool:
    """Return whether a process may mount a disk of its own on this machine."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "full").mkdir()
        return not subprocess.run([*_SMALL_DISK, "true"], cwd=folder, check=False).returncode


def _processor_seconds():
    """Return the processor seconds of the children, which other processes do not affect."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
