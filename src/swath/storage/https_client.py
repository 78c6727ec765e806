"""Send GET requests to https addresses: TLS verified, with retries, and no redirect followed.

A redirect would lead to an address that nobody has allowed. urllib3, which boto3 uses as well,
pools the connections and retries.
"""

from __future__ import annotations

import functools
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import urllib3
from botocore.httpsession import get_cert_path
from urllib3.exceptions import (
    HTTPError,
    MaxRetryError,
    NameResolutionError,
    ProtocolError,
    ResponseError,
    SSLError,
)

from swath.errors import SceneError, TransientError
from swath.storage.addresses import split_https

if TYPE_CHECKING:
    from urllib3 import BaseHTTPResponse, PoolManager

_CONNECT_SECONDS, _READ_SECONDS = 10, 60
"""Timeouts in s of a connection, and of each read from it."""
_MIN_SECONDS, _MIN_BYTES_PER_SECOND = 60, 64 << 10
"""A response may take `_MIN_SECONDS`, and the time of its bytes at `_MIN_BYTES_PER_SECOND`."""
_PIECE_BYTES = 256 << 10
_MAX_CONNECTIONS = 16
"""Number of open connections to a host that are kept; boto3 keeps 10."""
_TRANSIENT_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})
_RETRIES = urllib3.Retry(
    total=4,
    redirect=False,
    status_forcelist=_TRANSIENT_STATUSES,
    allowed_methods={"GET"},
    backoff_factor=0.2,
    backoff_jitter=0.2,
    backoff_max=8,
    respect_retry_after_header=False,
)
_HEADERS = {"Accept-Encoding": "identity", "User-Agent": "swath"}


class BrokenBodyError(Exception):
    """The body of a response broke off, or arrived too slowly; a further request may succeed."""


@contextmanager
def get(uri: str, headers: Mapping[str, str]) -> Iterator[BaseHTTPResponse]:
    """Send a GET request, and yield the response, which may be a redirect, without its body.

    Args:
        uri: Https address.
        headers: Further headers of the request.

    Raises:
        SceneError: The host does not exist, or its certificate is not valid.
        TransientError: The host did not answer, or failed, several times.
    """
    response = _send(uri, headers)
    try:
        yield response
        if response.status >= HTTPStatus.BAD_REQUEST:
            # The connection can be used again only if the page about the error was read.
            with suppress(HTTPError, OSError):
                response.read(_PIECE_BYTES)
    finally:
        response.close()


def read_body(response: BaseHTTPResponse, max_bytes: int) -> bytes:
    """Read the body of a response, up to a number of bytes.

    Raises:
        BrokenBodyError: The body breaks off, or arrives too slowly.
    """
    deadline = time.monotonic() + _MIN_SECONDS + max_bytes / _MIN_BYTES_PER_SECOND
    pieces: list[bytes] = []
    remaining = max_bytes
    try:
        while remaining and (piece := response.read(min(_PIECE_BYTES, remaining))):
            pieces.append(piece)
            remaining -= len(piece)
            if time.monotonic() > deadline:
                raise BrokenBodyError(
                    f"it arrives with less than {_MIN_BYTES_PER_SECOND >> 10} KiB per second"
                )
    except (HTTPError, OSError) as error:
        raise BrokenBodyError(str(error)) from error
    return b"".join(pieces)


def _send(uri: str, headers: Mapping[str, str]) -> BaseHTTPResponse:
    address = split_https(uri)
    try:
        return _pool(_proxy(address.hostname or "", address.port)).request(
            "GET",
            uri,
            headers={**_HEADERS, **headers},
            redirect=False,
            preload_content=False,
            decode_content=False,
            retries=_RETRIES,
        )
    except HTTPError as error:
        raise _translate(uri, error) from error


def _translate(uri: str, error: HTTPError) -> SceneError | TransientError:
    reason = error.reason if isinstance(error, MaxRetryError) and error.reason else error
    if isinstance(reason, SSLError) and "certificate" in str(reason).lower():
        return SceneError(
            f"{uri} has a certificate that is not valid here ({reason}); if the host has an "
            "authority of its own, set SSL_CERT_FILE to the authority's certificate"
        )
    if isinstance(reason, NameResolutionError) and _is_unknown_name(reason):
        return SceneError(f"{uri} has a host that does not exist; check the address")
    if isinstance(reason, ProtocolError | ResponseError):
        return TransientError(f"{uri} cannot be read: {reason}")
    return TransientError(f"{uri} did not answer: {reason}")


def _is_unknown_name(error: NameResolutionError) -> bool:
    cause = error.__cause__ or error.__context__
    return isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME


def _proxy(host: str, port: int | None) -> str:
    """Return the proxy that the environment sets for a host; empty without one."""
    proxies = getproxies()
    proxy = proxies.get("https") or proxies.get("all") or ""
    bypassed = proxy and proxy_bypass(f"{host}:{port}" if port else host)
    return "" if bypassed else proxy


def forget_connections() -> None:
    """Close the connections of this process, and read the environment's certificates again."""
    _pool.cache_clear()


@functools.cache
def _pool(proxy: str) -> PoolManager:
    """Return the pool of this process's connections, directly or through a proxy."""
    options: dict[str, Any] = {
        "maxsize": _MAX_CONNECTIONS,
        "timeout": urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS),
        "ssl_context": _tls_context(),
    }
    if not proxy:
        return urllib3.PoolManager(**options)
    if "://" not in proxy:
        proxy = f"http://{proxy}"
    try:
        login = urllib3.util.parse_url(proxy).auth
        proxy_headers = urllib3.make_headers(proxy_basic_auth=login) if login else None
        return urllib3.ProxyManager(proxy, proxy_headers=proxy_headers, **options)
    except HTTPError as error:
        raise SceneError(
            f"the proxy in the environment variable HTTPS_PROXY cannot be used: {error}"
        ) from error


def _tls_context() -> ssl.SSLContext:
    """Return a context that verifies certificates.

    It trusts the authorities of the system or of SSL_CERT_FILE. Where a system has none, it trusts
    those that botocore brings.
    """
    known = ssl.get_default_verify_paths()
    cafile = None if known.cafile or known.capath else get_cert_path(verify=True)
    return ssl.create_default_context(cafile=cafile)
