"""Parse, join and normalize addresses of objects.

An address is `s3://bucket/key`, a local path or, for reading only, `https://host/path`.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import SplitResult, urlsplit
from urllib.request import url2pathname

from swath.errors import InputError

RUNS_FOLDER = "runs"
"""Folder of the work and the results bucket with a folder for each run."""
TABLE_FOLDER = "detections"
"""Folder of the results bucket with the files of all runs, in partitions for queries."""

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; older buckets, and
# access points, may have further characters.
_VALID_BUCKET = re.compile(r"[a-zA-Z0-9.\-_]{1,255}|arn:[^/]+")
_MAX_KEY_BYTES = 1024
_URI_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_s3(uri: str) -> bool:
    """Return whether an address is an S3 URI."""
    return uri.startswith("s3://")


def is_https(uri: str) -> bool:
    """Return whether an address is an https address."""
    return uri[:8].lower() == "https://"


def is_remote(uri: str) -> bool:
    """Return whether an address is an S3 URI or an https address, and no local path."""
    return is_s3(uri) or is_https(uri)


def split_https(uri: str) -> SplitResult:
    """Split an https address, and check that a request to it can be sent.

    Raises:
        InputError: The address lacks a host, or contains a login, a fragment, or a character that
            an address cannot contain.
    """
    try:
        parts = urlsplit(uri)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise InputError(f"{uri!r} is no https address: {error}") from None
    if not host:
        raise InputError(f"{uri!r} is an https address without a host; check the address")
    if parts.username is not None or parts.password is not None:
        raise InputError(
            f"the https address of a file on {host} contains a login, which would appear in the "
            "results; copy the file to S3"
        )
    if parts.fragment or uri.endswith("#"):
        raise InputError(f"{uri} has a fragment (#); write # in a file's name as %23")
    if any(c <= " " or c in '"<>\\^`{|}\x7f' for c in uri):
        raise InputError(
            f"{uri!r} contains a space or another character that an address cannot contain; "
            "write a space as %20"
        )
    return parts


def refuse_https(uri: str, action: str) -> None:
    """Refuse an https address where only an S3 URI or a local path can be used.

    Args:
        uri: Address.
        action: What would be done, worded to follow "cannot".

    Raises:
        InputError: The address is an https address.
    """
    if is_https(uri):
        raise InputError(
            f"{uri} is an https address, which cannot {action}; give a path or an S3 URI"
        )


def split_s3(uri: str) -> tuple[str, str]:
    """Split `s3://bucket/a/b` into `("bucket", "a/b")`; the key of a whole bucket is empty.

    Raises:
        InputError: S3 does not allow the bucket's name or the key's length.
    """
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    if not _VALID_BUCKET.fullmatch(bucket):
        raise InputError(
            f"{uri} has the bucket name {bucket!r}, which S3 does not allow; "
            "an address is s3://BUCKET/KEY"
        )
    if len(key.encode(errors="surrogateescape")) > _MAX_KEY_BYTES:
        raise InputError(
            f"{uri} has a key of more than {_MAX_KEY_BYTES} bytes, which S3 does not allow; "
            "check the address"
        )
    return bucket, key


def split_object(uri: str) -> tuple[str, str]:
    """Split the address of an S3 object into its bucket and its key.

    Raises:
        InputError: The address is not that of an object that S3 allows.
    """
    bucket, key = split_s3(uri)
    if not key:
        raise InputError(f"{uri} is a bucket; give the address of an object, s3://BUCKET/KEY")
    return bucket, key


def join(uri: str, *parts: str) -> str:
    """Return the address of `parts` below `uri`.

    Raises:
        InputError: `uri` is an S3 URI with a bucket or key that S3 does not allow, or an https
            address to which no request can be sent.
    """
    if is_https(uri):
        address = split_https(uri)
        path = "/".join([address.path.rstrip("/"), *(part.strip("/") for part in parts)])
        return address._replace(path=path).geturl()
    if is_s3(uri):
        # Without its trailing slashes, `s3:///` would be a local folder.
        split_s3(uri)
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def file_name(uri: str) -> str:
    """Return the last part of an address: the name of the file.

    The query of an https address (`?…`) is not part of the name.
    """
    if is_https(uri):
        uri = uri.partition("?")[0]
    return uri.rpartition("/")[2]


def with_suffix(uri: str, suffix: str) -> str:
    """Return the address of a file beside another one, whose name has a further suffix.

    The query of an https address, such as a signature, stays behind the name.
    """
    if not is_https(uri):
        return uri + suffix
    name, mark, query = uri.partition("?")
    return f"{name}{suffix}{mark}{query}"


def resolve(uri: str, *, allow_https: bool = False) -> str:
    """Return the canonical address of an object or file, such as for `file:///…/x.tif`.

    An S3 URI is unchanged, since a key is a name and not a path: `a/./b` and `a/b` are two objects.
    So is an https address, except that its scheme and host are in lower case. A local path becomes
    absolute, and its folders are resolved. The last part is not: a symbolic link keeps its name.

    Args:
        uri: Address as the user gave it.
        allow_https: Whether the address may be an https address, which only scenes may have.

    Raises:
        InputError: The address has another scheme, or cannot be encoded as UTF-8.
    """
    if not _is_utf8(uri):
        raise InputError(
            f"the name {os.fsencode(uri)!r} is not valid UTF-8, which the results require; "
            "rename the file"
        )
    if is_s3(uri):
        return uri
    if allow_https and is_https(uri):
        address = split_https(uri)
        return address._replace(netloc=address.netloc.lower()).geturl()
    if uri.startswith("file://"):
        uri = url2pathname(urlsplit(uri).path)
    elif _URI_SCHEME.match(uri):
        kinds = "a path, an S3 URI nor an https address" if allow_https else "a path nor an S3 URI"
        raise InputError(
            f"{uri} is neither {kinds}; copy the file to this machine or to S3, and "
            "give its new address"
        )
    path = Path(uri).absolute()
    return str(path.parent.resolve() / path.name)


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
