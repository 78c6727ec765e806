"""Read and write objects by address, as bytes or JSON; files on https servers are only read."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from swath.errors import InputError, RunIncompleteError
from swath.storage import https_objects, local_files, s3_objects
from swath.storage.addresses import is_https, is_s3, refuse_https
from swath.storage.encoding import parse_json
from swath.storage.object_status import ObjectStatus


def exists(uri: str) -> bool:
    """Return whether there is an object at the address."""
    return etag(uri) is not None


def etag(uri: str) -> str | None:
    """Return the identity of an object's bytes without reading them; None if there is no object.

    The identity is the ETag without its quotes, or a local file's size and modification time.
    """
    object_status = status(uri)
    return object_status.etag if object_status else None


def status(uri: str) -> ObjectStatus | None:
    """Return the object's ETag and size without reading it; None if there is no object."""
    if is_https(uri):
        return https_objects.read_status(uri)
    return s3_objects.read_status(uri) if is_s3(uri) else local_files.read_status(Path(uri))


def is_readable(uri: str) -> bool:
    """Return whether there is an object that may be read.

    A store that does not list its objects for the reader refuses requests for objects that do not
    exist. So an object that may not be read counts as missing.
    """
    if is_https(uri):
        return https_objects.is_served(uri)
    return s3_objects.is_readable(uri) if is_s3(uri) else exists(uri)


def modified(uri: str) -> datetime | None:
    """Return the modification time of an object, file or folder; None if there is none."""
    refuse_https(uri, "be dated")
    return s3_objects.read_modified(uri) if is_s3(uri) else local_files.read_modified(Path(uri))


def user_metadata(uri: str) -> dict[str, str]:
    """Return the user-defined metadata of an S3 object, with keys in lower case.

    The result is empty if there is no object, and for any other address.
    """
    return s3_objects.read_user_metadata(uri) if is_s3(uri) else {}


def status_and_head(uri: str, length: int) -> tuple[ObjectStatus, bytes] | None:
    """Return an object's status and, by the same request, the first bytes of a remote object.

    Args:
        uri: Address of the object.
        length: Number of bytes to read.

    Returns:
        The status and the bytes, or None if there is no object. There are no bytes if the object is
        a local file, which is as quick to read later, or if S3 did not return them.
    """
    if is_https(uri):
        return https_objects.get_start(uri, length)
    if is_s3(uri) and (start := s3_objects.get_start(uri, length)):
        return start
    known = status(uri)
    return (known, b"") if known else None


def read_bytes(uri: str) -> bytes:
    """Return the whole object.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    if is_https(uri):
        return https_objects.get(uri)[0]
    return s3_objects.get(uri)[0] if is_s3(uri) else Path(uri).read_bytes()


def read_bounded(uri: str, max_bytes: int) -> bytes:
    """Read the whole object, unless it is larger than a limit.

    Args:
        uri: Address of the object.
        max_bytes: Maximum size in bytes. The limit also holds for a device, which has no end.

    Raises:
        InputError: The object is larger.
        FileNotFoundError: There is no object at the address.
    """
    if is_https(uri):
        return https_objects.get(uri, max_bytes)[0]
    if is_s3(uri):
        object_status = status(uri)
        content = (
            s3_objects.get(uri)[0] if not object_status or object_status.size <= max_bytes else None
        )
    else:
        with Path(uri).open("rb") as file:
            content = file.read(max_bytes + 1)
    if content is None or len(content) > max_bytes:
        raise InputError(
            f"{uri} has more than {max_bytes / 2**20:g} MiB, the maximum for such a file; "
            "divide it, or give another file"
        )
    return content


def read_end(uri: str, length: int) -> bytes:
    """Return the last `length` bytes of the object, or all of them if the object has fewer.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    refuse_https(uri, "be read from its end")
    if is_s3(uri):
        return s3_objects.get(uri, Range=f"bytes=-{length}")[0]
    return local_files.read_end(Path(uri), length)


def write_bytes(uri: str, data: bytes, *, content_type: str = "application/octet-stream") -> None:
    """Write the whole object, and replace an earlier one."""
    refuse_https(uri, "be written")
    if is_s3(uri):
        s3_objects.put(uri, data, content_type=content_type)
        return
    with local_files.replacing(Path(uri)) as temporary:
        temporary.write_bytes(data)


def read_with_etag(uri: str) -> tuple[bytes, str]:
    """Return the whole object, and the ETag of the bytes that were read.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    if is_https(uri):
        return https_objects.get(uri)
    if is_s3(uri):
        return s3_objects.get(uri)
    with local_files.locked(Path(uri)):
        return Path(uri).read_bytes(), etag(uri) or ""


def write_if_unchanged(
    uri: str,
    data: bytes,
    expected_etag: str | None,
    *,
    content_type: str = "application/octet-stream",
) -> str | None:
    """Write the whole object unless another process has written it since.

    Args:
        uri: Address of the object.
        data: Bytes to write.
        expected_etag: ETag of the object to replace; None if there was no object.
        content_type: Media type of the object.

    Returns:
        The new ETag; None if the object has changed, so that nothing was written.
    """
    refuse_https(uri, "be written")
    if is_s3(uri):
        return s3_objects.put_if_unchanged(uri, data, expected_etag, content_type=content_type)
    with local_files.locked(Path(uri)):
        if etag(uri) != expected_etag:
            return None
        write_bytes(uri, data)
        return etag(uri)


def read_json(uri: str) -> Any:
    """Return the object parsed as JSON.

    Raises:
        FileNotFoundError: There is no object at the address.
        ValueError: The object is not JSON, or is nested too deeply.
    """
    return parse_json(read_bytes(uri))


def write_json(uri: str, data: Any, *, content_type: str = "application/json") -> None:
    """Write an object as compact JSON."""
    write_bytes(uri, json.dumps(data, separators=(",", ":")).encode(), content_type=content_type)


def digest(path: Path) -> str:
    """Return the SHA-256 of a local file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def require_etag(uri: str, expected: str) -> None:
    """Check that an object exists and has the expected ETag; an empty ETag matches any object.

    Raises:
        RunIncompleteError: There is no object at the address, or its ETag differs.
    """
    current = etag(uri)
    if current is None or (expected and current != expected):
        fault = "is missing" if current is None else "is not the file that this run wrote"
        raise RunIncompleteError(f"{uri} {fault}; drop the scene again to write it again")
