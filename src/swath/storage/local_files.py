"""Local files as objects: written whole or not at all, and identified as S3 identifies its own."""

from __future__ import annotations

import errno
import fcntl
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from swath.storage.object_status import Status


def read_status(path: Path) -> Status | None:
    """Return the ETag and size of a file; None where there is no file.

    The ETag is of the file's size and modification time.
    """
    try:
        if not path.is_file():
            return None
        file = path.stat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise
    return Status(f"{file.st_size:x}-{file.st_mtime_ns:x}", file.st_size)


def read_modified(path: Path) -> datetime | None:
    """Return when a file or a folder was written; None where there is none."""
    return datetime.fromtimestamp(path.stat().st_mtime, UTC) if path.exists() else None


def read_end(path: Path, length: int) -> bytes:
    """Return the last bytes of a file, or all of them where the file has fewer."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - length))
        return file.read()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a file beside a path, which takes the path's place when the block ends without error."""
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
    """Let processes that read and write a file under a condition take turns."""
    folder = path.parent
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
