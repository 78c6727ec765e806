"""The environment that every process of the local cloud has of its machine: nothing of its user's.

A home folder would bring a user's configuration along, such as `~/.aws/config`. Without HOME a
process would still find it in the list of users, so HOME is none that could have anything in it.
Temporary files are a process's own: what one function has downloaded is not there for another one.
"""

from __future__ import annotations

import tempfile
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
