"""Provide objects as local files, for libraries that need files; S3 objects are copied."""

from __future__ import annotations

import re
import shutil
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path

from swath.storage import local_files, s3_objects
from swath.storage.addresses import file_name, is_s3, refuse_https, split_object

# A file name may have 255 bytes, and a character up to 4.
_MAX_NAME_CHARACTERS = 60


@contextmanager
def reading(uri: str) -> Iterator[Path]:
    """Yield the path of an object as a local file; the copy of an S3 object is temporary.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    refuse_https(uri, "be copied to this machine by swath")
    if not is_s3(uri):
        yield Path(uri)
        return
    _, key = split_object(uri)
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        path = Path(folder, _safe_file_name(key))
        s3_objects.download(uri, path)
        yield path


def reading_each(uris: Iterable[str], *, max_prefetched: int) -> Iterator[Path]:
    """Yield objects as local files; each copy exists until the next one is requested.

    Args:
        uris: Addresses of the objects.
        max_prefetched: Number of objects to prefetch.

    Raises:
        FileNotFoundError: There is no object at an address.
    """
    remaining = iter(uris)
    prefetched: deque[Future[tuple[ExitStack, Path]]] = deque()
    with ThreadPoolExecutor(max_prefetched) as pool:
        try:
            prefetched.extend(pool.submit(_open, uri) for uri in islice(remaining, max_prefetched))
            while prefetched:
                stack, path = prefetched[0].result()
                with stack:
                    prefetched.popleft()
                    prefetched.extend(pool.submit(_open, uri) for uri in islice(remaining, 1))
                    yield path
        finally:
            for future in prefetched:
                if not future.cancel() and not future.exception():
                    future.result()[0].close()


def _open(uri: str) -> tuple[ExitStack, Path]:
    stack = ExitStack()
    return stack, stack.enter_context(reading(uri))


@contextmanager
def writing(uri: str, *, content_type: str = "application/octet-stream") -> Iterator[Path]:
    """Yield a local path to write to; the file becomes the object if the block raises no error."""
    refuse_https(uri, "be written")
    if not is_s3(uri):
        with local_files.replacing(Path(uri)) as temporary:
            yield temporary
        return
    _, key = split_object(uri)
    with tempfile.TemporaryDirectory(prefix="swath-") as folder:
        path = Path(folder, _safe_file_name(key))
        yield path
        s3_objects.upload(path, uri, content_type=content_type)


def copy(source: str, target: str, *, content_type: str = "application/octet-stream") -> None:
    """Copy one object; S3 copies it server-side if both addresses are on S3."""
    if is_s3(source) and is_s3(target):
        s3_objects.copy(source, target, content_type=content_type)
        return
    with reading(source) as path, writing(target, content_type=content_type) as target_path:
        shutil.copyfile(path, target_path)


def _safe_file_name(key: str) -> str:
    """Return a file name for the copy of an object: its own, made safe for any file system."""
    own = re.sub(r"[^\w.-]", "_", file_name(key))[-_MAX_NAME_CHARACTERS:]
    return own.lstrip(".") or "object"
