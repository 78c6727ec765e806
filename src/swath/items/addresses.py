"""Parse addresses of scenes strictly, so that equal addresses are equal texts.

Documents of scenes come from anyone. An address that two libraries could read differently is
refused: with userinfo, `..`, an encoded separator, a backslash or a control character.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import quote, unquote

from swath.errors import InputError, SceneError
from swath.storage import split_s3

MAX_ADDRESS_CHARACTERS = 2000
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+._-]*:")
"""Opening of an address with a scheme, or of a name that GDAL reads as one, such as `ZARR:`."""
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_ENCODED_SEPARATOR = re.compile(r"%(2f|5c|2e|00|25)", re.IGNORECASE)
"""Percent-encoded `/`, `\\`, `.`, NUL and `%`, which some servers decode once more."""
_LONE_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_S3_HOST = re.compile(
    r"(?:(?P<bucket>.+)\.)?s3[.-](?:dualstack\.)?(?:(?P<region>[a-z0-9-]+)\.)?amazonaws\.com"
)
"""Hosts of S3 (https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html)."""
_HTTPS_PORT = 443
_FIRST_VISIBLE = " "
_DELETE = "\x7f"
_SAFE_IN_PATH = "/!$&'()*+,;=:@~-._"


@dataclass(frozen=True, slots=True)
class Address:
    """Address of a file or folder, in parts."""

    scheme: str
    """`s3`, `https`, or empty for a local path."""
    host: str
    """Bucket, or host in lower case with a port that is not 443; empty for a local path."""
    path: str
    """Key, or decoded path of an https address without its first slash, or absolute local path."""
    region: str = ""
    """Region that the host of an S3 address states."""

    @property
    def text(self) -> str:
        """Normalized address."""
        if self.scheme == "s3":
            return f"s3://{self.host}/{self.path}"
        if self.scheme == "https":
            return f"https://{self.host}/{quote(self.path, safe=_SAFE_IN_PATH)}"
        return self.path

    @property
    def key(self) -> tuple[str, str, str]:
        """Parts that identify the file, whatever its region."""
        return self.scheme, self.host, self.path

    @property
    def as_s3(self) -> Address:
        """Address of the same object by S3's own scheme; the address itself if it is none of S3."""
        match = _S3_HOST.fullmatch(self.host) if self.scheme == "https" else None
        if not match:
            return self
        bucket, key = match["bucket"], self.path
        if not bucket:
            bucket, _, key = key.partition("/")
        return Address("s3", bucket, key, match["region"] or "")


def parse_address(text: str) -> Address:
    """Parse an absolute address; nothing is requested.

    Raises:
        SceneError: The address is not absolute, has a scheme that swath does not read, or could be
            read differently by other libraries.
    """
    check_characters(text)
    scheme = text[: text.index(":")].lower() if SCHEME.match(text) else ""
    if scheme == "s3" and text[:5].lower() == "s3://":
        return _parse_s3(text)
    if scheme == "https" and text[:8].lower() == "https://":
        return _parse_https(text)
    if scheme:
        raise SceneError(
            f"{shown(text)} has a scheme that swath does not read: give s3:// or https://"
        )
    return _parse_path(text)


def check_characters(text: str) -> None:
    """Refuse an address that is empty, too long, or that libraries could read differently.

    Raises:
        SceneError: The address has such characters or parts.
    """
    if not text.strip():
        raise SceneError("an address is empty")
    if len(text) > MAX_ADDRESS_CHARACTERS:
        raise SceneError(f"{shown(text)} has more than {MAX_ADDRESS_CHARACTERS:,} characters")
    if any(one < _FIRST_VISIBLE or one == _DELETE or not one.isprintable() for one in text):
        raise SceneError(f"{shown(text)} has a control character")
    if "\\" in text:
        raise SceneError(f"{shown(text)} has a backslash; separate folders by /")
    if text != text.strip():
        raise SceneError(f"{shown(text)} begins or ends with a space")
    if _ENCODED_SEPARATOR.search(text):
        raise SceneError(
            f"{shown(text)} has an encoded /, \\, ., % or NUL; write the character itself"
        )
    if {".", ".."} & set(text.split("/")[1:]) or text.startswith("../") or text in {".", ".."}:
        raise SceneError(f"{shown(text)} has . or .. as a part; write the address without")


def shown(text: str) -> str:
    """Return a text of a document for a message: on one line, and not too long."""
    clean = "".join(one if one.isprintable() else "\N{REPLACEMENT CHARACTER}" for one in text)
    return clean if len(clean) <= _MAX_SHOWN else f"{clean[:_MAX_SHOWN]}…"


def _parse_s3(text: str) -> Address:
    uri = f"s3://{text[5:]}"
    try:
        bucket, key = split_s3(uri)
    except InputError as error:
        raise SceneError(str(error).replace(uri, shown(uri))) from None
    if bucket.startswith("arn:"):
        raise SceneError(f"{shown(text)} is an access point; give the bucket itself")
    return Address("s3", bucket, key)


def _parse_https(text: str) -> Address:
    authority, _, path = text[8:].partition("/")
    if "@" in authority:
        raise SceneError("an address has a user or a password before its host; give it without")
    if "?" in text or "#" in text:
        raise SceneError(
            f"{shown(text.partition('?')[0])} has a query or a fragment: a signed address expires "
            "during a run; give an address without, or copy the file to S3"
        )
    host, colon, port = authority.lower().partition(":")
    if not _HOST.fullmatch(host) or (colon and not _is_port(port)):
        raise SceneError(f"{shown(text)} has no valid host; give https://HOST/PATH")
    if colon and int(port) != _HTTPS_PORT:
        host = f"{host}:{int(port)}"
    if _LONE_PERCENT.search(path):
        raise SceneError(f"{shown(text)} has a % that encodes no character; rename the file")
    try:
        decoded = unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise SceneError(f"{shown(text)} is not encoded as UTF-8; encode it so") from None
    if decoded != path:
        check_characters(f"x/{decoded}")
    return Address("https", host, decoded)


def _is_port(text: str) -> bool:
    return (
        text.isascii() and text.isdigit() and len(text) <= len("65535") and 0 < int(text) < 1 << 16
    )


def _parse_path(text: str) -> Address:
    if text.startswith("/vsi"):
        raise SceneError(
            f"{shown(text)} is a path of GDAL; give s3://, https:// or a path of a file"
        )
    if not text.startswith("/") or text.startswith("//"):
        raise SceneError(f"{shown(text)} is not an absolute address; give s3://, https:// or /PATH")
    return Address(
        "", "", os.path.normpath(text) + ("/" if text.endswith("/") and text != "/" else "")
    )


_MAX_SHOWN = 300
"""Maximum number of characters of a document's text in a message."""
