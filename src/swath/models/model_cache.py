"""Where model packages are unpacked on this machine.

A function and a container keep a package for the next scene. A command removes what it has unpacked
when it ends; what a killed command left is removed by the next one.
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
    """A folder that is made when it is first asked for."""

    opened: ExitStack
    path: Path | None = None
    lock: threading.Lock = field(default_factory=threading.Lock)


_temporary: list[_Temporary] = []


@contextmanager
def temporary() -> Iterator[None]:
    """Within, packages are unpacked into a folder that is removed at the end."""
    with ExitStack() as opened:
        _temporary.append(_Temporary(opened))
        try:
            yield
        finally:
            _temporary.pop()


def folder() -> Path:
    """Return the folder for packages: only this user can write to it.

    What lies in it is trusted by its digest.

    Raises:
        PackageError: others can write to it, too.
    """
    if not _temporary:
        return _shared()
    own = _temporary[-1]
    with own.lock:
        if own.path is None:
            # Not every process that unpacks packages makes folders of outputs.
            from swath.storage.output_folder import work_folder  # noqa: PLC0415

            own.path = own.opened.enter_context(work_folder(_shared()))
        return own.path


def _shared() -> Path:
    shared = Path(tempfile.gettempdir(), f"swath-models-{os.getuid()}")
    shared.mkdir(mode=0o700, exist_ok=True)
    status = shared.lstat()
    if status.st_uid != os.getuid() or status.st_mode & 0o022:
        raise PackageError(f"{shared} can be written by other users; remove it")
    return shared
