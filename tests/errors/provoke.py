"""Runs commands with their faults, as processes, and reads what they say."""

import json
import os
import re
import resource
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self

from tests.errors.faults import Fault

LIMIT_SECONDS = 120
_STATUS = {"NoSuchBucket": 404, "SlowDown": 503, "InternalError": 500}
# Root without its power to pass over permissions; whoever else runs this has none.
_POWERLESS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
_MISSING = "import sys; sys.modules[{module!r}] = None; from swath.__main__ import main; main()"


@dataclass(frozen=True)
class Said:
    """What a command printed and how it ended, after how much of the processors' time."""

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


@contextmanager
def services():
    """The services beside the commands: what their names stand for in words and environment."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    with socket.socket() as closed, socket.socket() as used:
        # Bound and not listening: connections are refused, and nobody else can take it.
        closed.bind(("127.0.0.1", 0))
        used.bind(("127.0.0.1", 0))
        used.listen()
        try:
            yield {
                "aws": f"http://127.0.0.1:{server.server_port}",
                "closed": str(closed.getsockname()[1]),
                "used": str(used.getsockname()[1]),
            }
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


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
    }
    found.pop("SWATH_DATABASE_URL", None)
    for name, value in fault.env.items():
        found.pop(name, None)
        if value is not None:
            found[name] = filled(value, known)
    return found


def filled(word: str, known: dict[str, str]) -> str:
    """The word with the addresses of services in the places of their names."""
    return re.sub(r"\{(\w+)\}", lambda match: known[match[1]], word)


class Forks:
    """Commands in forks of one process, which has imported swath already."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("forks.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"OMP_NUM_THREADS": "1", "COLUMNS": "80", "NO_COLOR": "1"},
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.communicate()

    def provoke(self, fault: Fault, folder: Path, known: dict[str, str]) -> Said:
        """Run the command in the folder: as a fork where that is possible."""
        if fault.missing or fault.as_nobody or fault.words[:2] == ("local", "up"):
            return provoke(fault, folder, known)
        asked = {
            "words": [filled(word, known) for word in fault.words],
            "folder": str(folder),
            "environment": environment(fault, known),
            "largest_file": fault.largest_file,
        }
        self._server.stdin.write(json.dumps(asked) + "\n")
        self._server.stdin.flush()
        told = json.loads(self._server.stdout.readline())
        text = told["err"] + "\n" + (told["out"] if told["code"] else "")
        return Said(told["code"], masked(text, folder, known), told["seconds"])


def provoke(fault: Fault, folder: Path, known: dict[str, str]) -> Said:
    """Run the command in the folder."""
    words = [filled(word, known) for word in fault.words]
    start = ["-m", "swath"]
    if fault.missing:
        start = ["-c", _MISSING.format(module=fault.missing)]

    def limit():
        if fault.largest_file:
            resource.setrlimit(resource.RLIMIT_FSIZE, (fault.largest_file,) * 2)

    powerless = _POWERLESS if fault.as_nobody and not os.getuid() else []
    began = _processor_seconds()
    ran = subprocess.run(
        [*powerless, sys.executable, *start, *words],
        cwd=folder,
        env=environment(fault, known),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        timeout=LIMIT_SECONDS,
        preexec_fn=limit,
    )
    seconds = _processor_seconds() - began
    text = (ran.stderr + b"\n" + (ran.stdout if ran.returncode else b"")).decode(errors="replace")
    return Said(ran.returncode, masked(text, folder, known), seconds)


def masked(text: str, folder: Path, known: dict[str, str]) -> list[str]:
    """The lines of a text, without what differs between machines."""
    for name, value in known.items():
        text = text.replace(value, f"<{name}>")
    text = text.replace(f"{folder}/", "").replace(str(folder), "<here>")
    text = re.sub(r"0x[0-9a-f]{6,}", "<address>", text)
    return [line for line in text.splitlines() if line.strip()]


def _processor_seconds():
    """What children have used: other than the time of day, it does not depend on who else runs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
