"""Parse, join and normalize addresses of objects: `s3://bucket/key` or a local path."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from swath.errors import InputError

# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html; older buckets, and
# access points, may have further characters.
_VALID_BUCKET = re.compile(r"[a-zA-Z0-9.\-_]{1,255}|arn:[^/]+")
_MAX_KEY_BYTES = 1024
_URI_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_s3(uri: str) -> bool:
    """Return whether an address is an S3 URI; any other address is a local path."""
    return uri.startswith("s3://")


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
        InputError: `uri` is an S3 URI with a bucket or key that S3 does not allow.
    """
    if is_s3(uri):
        # Without its trailing slashes, `s3:///` would be a local folder.
        split_s3(uri)
    return "/".join([uri.rstrip("/"), *(part.strip("/") for part in parts)])


def file_name(uri: str) -> str:
    """Return the last part of an address: the name of the file."""
    return uri.rpartition("/")[2]


def resolve(uri: str) -> str:
    """Return the canonical address of an object or file, such as for `file:///…/x.tif`.

    An S3 URI is unchanged, since a key is a name and not a path: `a/./b` and `a/b` are two objects.
    A local path becomes absolute, and its folders are resolved. The last part is not: a symbolic
    link keeps its name.

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
    if uri.startswith("file://"):
        uri = url2pathname(urlsplit(uri).path)
    elif _URI_SCHEME.match(uri):
        raise InputError(
            f"{uri} is neither a path nor an S3 URI; copy the file to this machine or to S3, and "
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
