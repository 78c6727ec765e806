"""Objects at an address, read and written as bytes or JSON."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from swath.errors import InputError, RunIncompleteError
from swath.storage import local_files, s3_objects
from swath.storage.addresses import is_s3
from swath.storage.encoding import parse_json
from swath.storage.object_status import Status


def exists(uri: str) -> bool:
    """Whether there is an object at the address."""
    return etag(uri) is not None


def etag(uri: str) -> str | None:
    """What identifies the object's bytes, without reading them: None where there is no object.

    The S3 ETag without its quotes; of a local file its size and modification time.
    """
    found = status(uri)
    return found.etag if found else None


def status(uri: str) -> Status | None:
    """Return the object's ETag and size, without reading it: None where there is no object."""
    return s3_objects.read_status(uri) if is_s3(uri) else local_files.read_status(Path(uri))


def modified(uri: str) -> datetime | None:
    """Return when an object, a file or a folder was written; None where there is none."""
    return s3_objects.read_modified(uri) if is_s3(uri) else local_files.read_modified(Path(uri))


def status_and_head(uri: str, length: int) -> tuple[Status, bytes] | None:
    """Return the object's status and, of an S3 object, its first bytes, which come with it.

    Returns:
        None where there is no object. No bytes of a local file, which are as near when they are
        wanted.
    """
    if is_s3(uri) and (found := s3_objects.get_start(uri, length)):
        return found
    there = status(uri)
    return (there, b"") if there else None


def read_bytes(uri: str) -> bytes:
    """Return the whole object.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    return s3_objects.get(uri)[0] if is_s3(uri) else Path(uri).read_bytes()


def read_bounded(uri: str, most: int) -> bytes:
    """Read the whole object, unless it is larger than it may be.

    Args:
        uri: its address.
        most: bytes that are read; a device, which has no end, is read no further.

    Raises:
        InputError: it is larger.
        FileNotFoundError: there is no object at the address.
    """
    if is_s3(uri):
        found = status(uri)
        content = s3_objects.get(uri)[0] if not found or found.size <= most else None
    else:
        with Path(uri).open("rb") as file:
            content = file.read(most + 1)
    if content is None or len(content) > most:
        raise InputError(
            f"{uri} has more than {most / 2**20:g} MiB, which is all that is read of such a file: "
            "divide it, or give another one"
        )
    return content


def read_end(uri: str, length: int) -> bytes:
    """Return the last `length` bytes of the object, or all of it where it has fewer.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    if is_s3(uri):
        return s3_objects.get(uri, Range=f"bytes=-{length}")[0]
    return local_files.read_end(Path(uri), length)


def write_bytes(uri: str, data: bytes, *, content_type: str = "application/octet-stream") -> None:
    """Write the whole object, replacing what was there."""
    if is_s3(uri):
        s3_objects.put(uri, data, content_type=content_type)
        return
    with local_files.replacing(Path(uri)) as temporary:
        temporary.write_bytes(data)


def read_with_etag(uri: str) -> tuple[bytes, str]:
    """Return the whole object, and the ETag of the very bytes that were read.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    if is_s3(uri):
        return s3_objects.get(uri)
    with local_files.locked(Path(uri)):
        return Path(uri).read_bytes(), etag(uri) or ""


def write_if_unchanged(uri: str, data: bytes, known: str | None) -> str | None:
    """Write the whole object unless somebody else has written it in the meantime.

    Args:
        uri: Address of the object.
        data: Bytes to write.
        known: ETag of the object that is to be replaced; None where there was no object.

    Returns:
        The new ETag; None where the object is no longer the known one, and nothing was written.
    """
    if is_s3(uri):
        return s3_objects.put_if_unchanged(uri, data, known)
    with local_files.locked(Path(uri)):
        if etag(uri) != known:
            return None
        write_bytes(uri, data)
        return etag(uri)


def read_json(uri: str) -> Any:
    """Return the object parsed as JSON.

    Raises:
        ValueError: it is not JSON, or nested too deeply to be read.
    """
    return parse_json(read_bytes(uri))


def write_json(uri: str, data: Any, *, content_type: str = "application/json") -> None:
    """Write an object as JSON."""
    write_bytes(uri, json.dumps(data, separators=(",", ":")).encode(), content_type=content_type)


def digest(path: Path) -> str:
    """Return the SHA-256 of a local file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_etag(uri: str, expected: str) -> None:
    """Refuse an object that is not the one of an ETag; any will do where that is empty.

    Raises:
        RunIncompleteError: there is no object at the address, or another one.
    """
    found = etag(uri)
    if found is None or (expected and found != expected):
        what = "is gone" if found is None else "is not the file that this run wrote"
        raise RunIncompleteError(f"{uri} {what}; drop the scene again, and it is made anew")
