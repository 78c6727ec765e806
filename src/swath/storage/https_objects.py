"""Read files from https addresses, each only in the version that its ETag identifies.

Every request is a GET of a range: many servers answer HEAD by other rules, and a signed address
permits only one method.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, TypeVar

from swath.errors import InputError, SceneChangedError, SceneError, TransientError
from swath.storage import https_client
from swath.storage.object_status import ObjectStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from urllib3 import BaseHTTPResponse

Result = TypeVar("Result")

MAX_WHOLE_BYTES = 64 << 20
"""Largest size in bytes of a file that is read whole; rasters are read by ranges."""
_MAX_ATTEMPTS = 4
"""Number of requests for a range whose transfer breaks off, as for S3."""
_MISSING = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_FORBIDDEN = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})
_REDIRECTS = range(300, 400)
_MAX_QUOTED = 200
_CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+)")
_COPY = "copy the file to S3 or to this machine"


def read_status(uri: str) -> ObjectStatus | None:
    """Return the ETag and size of a file; None if there is none.

    Raises:
        SceneError: The server refuses or redirects the request, or serves no ETags or ranges.
        TransientError: The server did not answer.
    """
    start = get_start(uri, 1)
    return start[0] if start else None


def is_served(uri: str) -> bool:
    """Return whether a file exists and its server sends ranges of it.

    Servers answer for a file that does not exist with 404, 403, a redirect or a page about it.

    Raises:
        TransientError: The server did not answer.
    """
    with https_client.get(uri, {"Range": "bytes=0-0"}) as response:
        return response.status == HTTPStatus.PARTIAL_CONTENT


def get_start(uri: str, length: int) -> tuple[ObjectStatus, bytes] | None:
    """Return the status and the first `length` bytes of a file; None if there is no file.

    Raises:
        SceneError: The server refuses or redirects the request, or serves no ETags or ranges.
        TransientError: The server did not answer.
    """

    def request() -> tuple[ObjectStatus, bytes] | None:
        with https_client.get(uri, {"Range": f"bytes=0-{length - 1}"}) as response:
            if response.status in _MISSING:
                return None
            return _read_range(uri, response, 0, length)

    return _retry(uri, request)


def get_range(uri: str, etag: str, offset: int, length: int) -> bytes:
    """Return `length` bytes of a file from an offset; fewer only at the end of the file.

    Args:
        uri: Https address.
        etag: ETag that the file must have, without quotes.
        offset: First byte.
        length: Number of bytes.

    Raises:
        SceneChangedError: The file has another ETag, or is gone.
        SceneError: The server refuses or redirects the request.
        TransientError: The server did not answer.
    """
    headers = {"Range": f"bytes={offset}-{offset + length - 1}", "If-Match": f'"{etag}"'}

    def request() -> bytes:
        with https_client.get(uri, headers) as response:
            if response.status in _MISSING | {HTTPStatus.PRECONDITION_FAILED}:
                raise _changed(uri)
            status, content = _read_range(uri, response, offset, length)
            if content and status.etag != etag:  # a server may ignore If-Match
                raise _changed(uri)
            return content

    return _retry(uri, request)


def get(uri: str, max_bytes: int = MAX_WHOLE_BYTES) -> tuple[bytes, str]:
    """Return a whole file, and its ETag.

    Raises:
        FileNotFoundError: There is no file at the address.
        InputError: The file is larger than `max_bytes`.
        SceneError: The server refuses or redirects the request, or serves no ETags or ranges.
        TransientError: The server did not answer.
    """
    start = get_start(uri, max_bytes + 1)
    if start is None:
        raise FileNotFoundError(uri)
    status, content = start
    if status.size > max_bytes:
        raise InputError(
            f"{uri} has more than {max_bytes / 2**20:g} MiB, the maximum for such a file; "
            "divide it, or give another file"
        )
    return content, status.etag


def _retry(uri: str, request: Callable[[], Result]) -> Result:
    """Repeat a request whose response breaks off; urllib3 repeats requests without a response."""
    for attempt in range(_MAX_ATTEMPTS):
        try:
            return request()
        except https_client.BrokenBodyError as error:
            if attempt == _MAX_ATTEMPTS - 1:
                raise TransientError(f"{uri} cannot be read: {error}") from error
    raise AssertionError


def _read_range(
    uri: str, response: BaseHTTPResponse, offset: int, length: int
) -> tuple[ObjectStatus, bytes]:
    """Check a response to a request for a range, and read its body.

    The ETag is empty where the file has no bytes from the offset.

    Raises:
        SceneError: The server refused or redirected the request, or serves no ETags or ranges.
        BrokenBodyError: The body breaks off.
    """
    status, headers = response.status, response.headers
    if status == HTTPStatus.OK and headers.get("Content-Length") == "0":
        return ObjectStatus("", 0), b""
    if status not in {HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}:
        raise _refusal(uri, response)
    found = _CONTENT_RANGE.fullmatch(headers.get("Content-Range", ""))
    size = int(found[3]) if found else 0
    if status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE and size <= offset:
        return ObjectStatus("", size), b""
    expected = min(length, size - offset)
    if (
        not found
        or found[1] is None
        or [int(n) for n in found.groups()[:2]]
        != [
            offset,
            offset + expected - 1,
        ]
    ):
        raise SceneError(
            f"{uri} was answered with the bytes {headers.get('Content-Range', 'unknown')!r} "
            f"instead of those from {offset}; {_COPY}"
        )
    etag = _strong_etag(uri, headers.get("ETag", "").strip())
    content = https_client.read_body(response, expected)
    if len(content) != expected:
        raise https_client.BrokenBodyError(f"{len(content)} of {expected} bytes arrived")
    return ObjectStatus(etag, size), content


def _refusal(uri: str, response: BaseHTTPResponse) -> SceneError:
    if response.status == HTTPStatus.OK:
        problem = "lies on a server that sends whole files and no ranges of bytes"
    elif response.status in _FORBIDDEN:
        return SceneError(
            f"{uri} is missing or may not be read (HTTP {response.status}); check the address, and "
            "whether a signature in it has expired"
        )
    elif response.status in _REDIRECTS:
        target = response.headers.get("Location", "another address")[:_MAX_QUOTED]
        return SceneError(
            f"{uri} redirects to {target}, and swath follows no redirects; give the address of the "
            "file itself"
        )
    else:
        problem = f"was refused with HTTP {response.status}"
    return SceneError(f"{uri} {problem}; {_COPY}")


def _strong_etag(uri: str, value: str) -> str:
    """Return an ETag without quotes.

    Raises:
        SceneError: There is no ETag, or a weak one, which different bytes may share.
    """
    etag = value[1:-1]
    if etag and value == f'"{etag}"':
        return etag
    problem = f"only a weak ETag ({value})" if value.startswith("W/") else "no ETag"
    raise SceneError(
        f"{uri} has {problem}, so that a change during the run would go unnoticed; {_COPY}"
    )


def _changed(uri: str) -> SceneChangedError:
    return SceneChangedError(f"{uri} was replaced during its run; start a new run")
