"""Provide the environment that all processes of the local cloud share, without the user's own.

A home folder would expose a user's configuration, such as `~/.aws/config`. Without HOME, a process
would get the home folder from the list of users, so HOME is a path that can hold nothing. Each
process has its own folder for temporary files, so no function can use the files
of another one.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

BASE_ENVIRONMENT = {"HOME": "/dev/null", "PATH": "/usr/local/bin:/usr/bin:/bin"}


def create_scratch(log: Path) -> dict[str, str]:
    """Create a folder for the temporary files of a process, beside the folder of its log.

    Returns:
        The environment variable that names the folder.
    """
    folder = log.parent.parent / "scratch"
    folder.mkdir(exist_ok=True)
    return {"TMPDIR": tempfile.mkdtemp(prefix=f"{log.stem[:60]}-", dir=folder)}


@functools.cache
def can_limit_disk() -> bool:
    """Return whether this machine allows its users to mount their own file systems."""
    with tempfile.TemporaryDirectory() as folder:
        command, variables = limit_disk(["true"], 64), BASE_ENVIRONMENT | {"TMPDIR": folder}
        return (
            subprocess.run(command, env=variables, capture_output=True, check=False).returncode == 0
        )


def limit_disk(command: Sequence[str], kib: int | None) -> list[str]:
    """Return a command whose temporary files have limited space; None: the space of the machine.

    The process has its own mount namespace, with a small file system mounted at its folder for
    temporary files. The mount ends with the process.
    """
    if kib is None:
        return list(command)
    options = [] if os.geteuid() == 0 else ["--map-root-user"]
    mount = 'mount -t tmpfs -o "size=$0k" scratch "$TMPDIR" && exec "$@"'
    return ["unshare", "--mount", *options, "sh", "-c", mount, str(kib), *command]
