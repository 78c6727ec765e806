"""Provide the folder that model packages are unpacked into on this machine.

A Lambda function and a container keep an unpacked package for the next scene. A command removes its
unpacked packages when it ends. If a command is killed, the next command removes its packages.
"""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from swath.errors import PackageError


@dataclass(slots=True)
class _Temporary:
    """Temporary folder that is created on first use."""

    opened: ExitStack
    path: Path | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_temporary: list[_Temporary] = []


@contextmanager
def temporary() -> Iterator[None]:
    """Unpack packages into a temporary folder inside the `with` block, and remove it at the end."""
    with ExitStack() as opened:
        _temporary.append(_Temporary(opened))
        try:
            yield
        finally:
            _temporary.pop()


def folder() -> Path:
    """Return the folder for unpacked packages, which only this user can write to.

    A subfolder is named by its package's digest, and its content is not verified again.

    Raises:
        PackageError: Other users can write to the folder.
    """
    if not _temporary:
        return _shared()
    own = _temporary[-1]
    with own.lock:
        if own.path is None:
            # Imported here, since not every process that unpacks packages needs output folders.
            from swath.storage.output_folder import work_folder  # noqa: PLC0415

            own.path = own.opened.enter_context(work_folder(_shared()))
        return own.path


def _shared() -> Path:
    shared = Path(tempfile.gettempdir(), f"swath-models-{os.getuid()}")
    shared.mkdir(mode=0o700, exist_ok=True)
    status = shared.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PackageError(f"{shared} is writable by other users; remove it")
    return shared
