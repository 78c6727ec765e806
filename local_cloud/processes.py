"""The environment that every process of the local cloud has of its machine: nothing of its user's.

A home folder would bring a user's configuration along, such as `~/.aws/config`. Without HOME a
process would still find it in the list of users, so HOME is none that could have anything in it.
Temporary files are a process's own: what one function has downloaded is not there for another one.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

MACHINE = {"HOME": "/dev/null", "PATH": "/usr/local/bin:/usr/bin:/bin"}


def scratch(log: Path) -> dict[str, str]:
    """Make a folder for the temporary files of a process beside the folder of its log.

    Returns:
        The variable that names it.
    """
    folder = log.parent.parent / "scratch"
    folder.mkdir(exist_ok=True)
    return {"TMPDIR": tempfile.mkdtemp(prefix=f"{log.stem[:60]}-", dir=folder)}


@functools.cache
def may_confine() -> bool:
    """Return whether this machine lets its users have file systems of their own."""
    with tempfile.TemporaryDirectory() as folder:
        command, variables = confined(["true"], 64), MACHINE | {"TMPDIR": folder}
        return (
            subprocess.run(command, env=variables, capture_output=True, check=False).returncode == 0
        )


def confined(command: Sequence[str], kib: int | None) -> list[str]:
    """Return a command whose temporary files have so much space; None for what the machine has.

    The process has a view of its own of the file systems, with a small one in the place of its
    folder for temporary files. That ends with the process.
    """
    if kib is None:
        return list(command)
    rights = [] if os.geteuid() == 0 else ["--map-root-user"]
    mount = 'mount -t tmpfs -o "size=$0k" scratch "$TMPDIR" && exec "$@"'
    return ["unshare", "--mount", *rights, "sh", "-c", mount, str(kib), *command]
