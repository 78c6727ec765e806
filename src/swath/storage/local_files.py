"""Treat local files as objects: write them atomically, and identify them by an ETag, as S3 does."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from swath.storage.object_status import ObjectStatus


def read_status(path: Path) -> ObjectStatus | None:
    """Return the ETag and size of a file; None if there is no file.

    The ETag consists of the file's size in bytes and modification time in ns, both hexadecimal.
    """
    try:
        if not path.is_file():
            return None
        file = path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise
    return ObjectStatus(f"{file.st_size:x}-{file.st_mtime_ns:x}", file.st_size)


def read_modified(path: Path) -> datetime | None:
    """Return the modification time of a file or folder in UTC; None if there is none."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None


def read_end(path: Path, length: int) -> bytes:
    """Return the last `length` bytes of a file, or all of them if the file has fewer."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - length))
        return file.read()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary file beside a path; it replaces the path if the block raises no error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold a lock on a file's folder, so that conditional reads and writes of a file take turns."""
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
