"""A command run where no network is, and each name that it looks up is written down.

The command gets a network namespace of its own, with nothing in it but the loopback and a name
server that knows no name; a mount namespace makes that server the only one.
"""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ISOLATED = ["unshare", "--map-root-user", "--net", "--mount"]
HEADER = 12
NO_SUCH_NAME = 0x8183
SIOCSIFFLAGS, UP = 0x8914, 0x1


def record_dns_lookups(arguments, folder, **environment):
    """Run Python with these arguments; return the names that were looked up.

    Fails where the command does; skips where this machine allows no namespaces.
    """
    if shutil.which("unshare") is None or subprocess.run([*ISOLATED, "true"]).returncode:  # noqa: PLW1510
        pytest.skip("NOT TESTED: this machine makes no network namespaces, see `man unshare`")
    log = folder / "names.json"
    env = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    env |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), "COLUMNS": "100"}
    ran = subprocess.run(
        [*ISOLATED, sys.executable, str(Path(__file__)), str(log), sys.executable, *arguments],
        env=env | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(log.read_text())


def record(log, command):
    """Run the command in these namespaces; return its exit code."""
    asked = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        fcntl.ioctl(server, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", UP))
        server.bind(("127.0.0.1", 53))
        threading.Thread(target=answer, args=(server, asked), daemon=True).start()
        with tempfile.NamedTemporaryFile("w", suffix=".conf") as resolvers:
            resolvers.write("nameserver 127.0.0.1\n")
            resolvers.flush()
            Path(resolvers.name).chmod(0o644)
            here = Path("/etc/resolv.conf").resolve()
            subprocess.run(["mount", "--bind", resolvers.name, here], check=True)
            ran = subprocess.run(command, check=False)
    Path(log).write_text(json.dumps(asked))
    return ran.returncode


def answer(server, asked):
    """Write down what is asked for, and say that there is no such name."""
    while True:
        try:
            question, sender = server.recvfrom(4096)
        except OSError:  # closed: the command has ended
            return
        asked.append(name_in(question))
        reply = struct.pack(">HHHHHH", int.from_bytes(question[:2]), NO_SUCH_NAME, 1, 0, 0, 0)
        end = question.index(0, HEADER) + 5
        server.sendto(reply + question[HEADER:end], sender)


def name_in(question):
    """Return the name in a question (RFC 1035, 4.1.2): its labels, a byte of length before each."""
    labels, at = [], HEADER
    while question[at]:
        labels.append(question[at + 1 : at + 1 + question[at]].decode())
        at += 1 + question[at]
    return ".".join(labels)


if __name__ == "__main__":
    sys.exit(record(sys.argv[1], sys.argv[2:]))
