"""Let GDAL open Python's file objects by a path, in any thread.

rasterio's opener keeps its state in context variables, so a thread sees only the openers of its own
context, and rasterio registers each with GDAL anew, whose table of file systems no lock protects.
Hence one opener, registered once, serves all files of the process, and its state is made visible
around each call of GDAL (`reachable`).
"""

from __future__ import annotations

import atexit
import contextvars
import functools
import io
import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import rasterio
from rasterio.abc import FileContainer
from rasterio.io import MemoryFile

_FOLDER, _PROBE = "swath", "probe"
_lock = threading.Lock()
_numbers = itertools.count()
_files: dict[str, tuple[Callable[[], Any], int]] = {}
"""Functions that open the files, and the files' sizes in bytes, by name."""


def add(open_file: Callable[[], Any], size: int) -> str:
    """Make a file available to GDAL, and return its path.

    Args:
        open_file: Function that returns a new file object: `read`, `seek` and `tell`.
        size: Size of the file in bytes.
    """
    _, folder = _registration()
    name = f"file{next(_numbers)}"
    _files[name] = open_file, size
    return folder + name


def remove(path: str) -> None:
    """Remove a file from those that GDAL may open."""
    _files.pop(_name(path), None)


@contextmanager
def reachable() -> Iterator[None]:
    """Let GDAL open, read and close the files within the block, in this thread."""
    variables, _ = _registration()
    with ExitStack() as stack:
        for variable, value in variables:
            stack.callback(variable.reset, variable.set(value))
        yield


def _registration() -> tuple[list[tuple[contextvars.ContextVar[Any], Any]], str]:
    with _lock:
        return _register()


@functools.cache
def _register() -> tuple[list[tuple[contextvars.ContextVar[Any], Any]], str]:
    """Register the opener for the life of the process.

    A dataset that stays open keeps the registration. It is opened in an empty context, so that the
    context then holds rasterio's variables and no others.

    Returns:
        The variables with their values, and the path of the opener's folder.
    """
    _files[_PROBE] = functools.partial(io.BytesIO, _probe_content()), len(_probe_content())
    context = contextvars.Context()
    probe = context.run(rasterio.open, f"{_FOLDER}/{_PROBE}", driver="GTiff", opener=_Container())
    atexit.register(context.run, probe.close)
    return list(context.items()), str(probe.name).removesuffix(_PROBE)


def _probe_content() -> bytes:
    """Return a TIFF of one pixel."""
    with MemoryFile() as memory:
        with memory.open(driver="GTiff", width=1, height=1, count=1, dtype="uint8"):
            pass
        content: bytes = memory.read()
    return content


def _name(path: str) -> str:
    return path.rpartition("/")[2]


class _Container(FileContainer):  # type: ignore[misc] # rasterio has no types
    """The available files, by rasterio's interface of a file system; nothing else is in it."""

    def open(self, path: str, mode: str = "r", **_: Any) -> Any:
        if "w" in mode or "a" in mode or "+" in mode:
            raise PermissionError(path)
        open_file, _size = _files[_name(path)]
        return open_file()

    def isfile(self, path: str) -> bool:
        return _name(path) in _files

    def isdir(self, path: str) -> bool:  # noqa: ARG002
        return False

    def ls(self, path: str) -> list[str]:  # noqa: ARG002
        return []

    def mtime(self, path: str) -> int:  # noqa: ARG002
        return 0

    def rm(self, path: str) -> None:
        raise PermissionError(path)

    def size(self, path: str) -> int:
        return _files[_name(path)][1]
