"""Read and write objects on S3.

The functions raise a TransientError if S3 fails in a way that a retry can fix, and botocore's
ClientError if S3 refuses the request.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from swath.errors.service_errors import passes, transient_errors
from swath.storage.addresses import split_object
from swath.storage.object_status import Status

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_RETRIES = Config(retries={"mode": "standard", "total_max_attempts": 5})
_MISSING = {"404", "NoSuchKey", "NotFound"}
_ABSENT = _MISSING | {"NoSuchBucket"}
# Another process has written the object since, or is writing it at this moment.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@functools.cache
def s3() -> S3Client:
    """Return the S3 client of this process, created at the first call."""
    return boto3.client("s3", config=_RETRIES)


def read_status(uri: str) -> Status | None:
    """Return the ETag and size of an object; None if there is no object."""
    head = _head(uri)
    return Status(_bare(head["ETag"]), head["ContentLength"]) if head else None


def read_modified(uri: str) -> datetime | None:
    """Return the modification time of an object; None if there is no object."""
    head = _head(uri)
    return head["LastModified"] if head else None


def get_start(uri: str, length: int) -> tuple[Status, bytes] | None:
    """Return the status and the first `length` bytes of an object by one request.

    Returns:
        The status and the bytes; None if the request failed, because the object is missing or
        empty, or because S3 is busy.
    """
    bucket, key = split_object(uri)
    try:
        found = s3().get_object(Bucket=bucket, Key=key, Range=f"bytes=0-{length - 1}")
        size = int(found["ContentRange"].rpartition("/")[2])
        return Status(_bare(found["ETag"]), size), found["Body"].read()
    except ClientError:
        return None
    except Exception as error:
        if not passes(error):
            raise
        return None


def get(uri: str, **options: Any) -> tuple[bytes, str]:
    """Return the bytes of an object and their ETag.

    Args:
        uri: Address of the object.
        options: Further parameters of S3's GetObject.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    bucket, key = split_object(uri)
    with _found(uri), _read(uri):
        found = s3().get_object(Bucket=bucket, Key=key, **options)
        return found["Body"].read(), _bare(found["ETag"])


def put(uri: str, data: bytes, *, content_type: str) -> None:
    """Write an object, and replace an earlier one."""
    bucket, key = split_object(uri)
    with _written(uri):
        s3().put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)


def put_if_unchanged(uri: str, data: bytes, known: str | None) -> str | None:
    """Write an object if the stored one still has a known ETag.

    Args:
        uri: Address of the object.
        data: Bytes to write.
        known: ETag of the object to replace; None if there must be no object.

    Returns:
        The new ETag; None if the object has changed, so that nothing was written.
    """
    bucket, key = split_object(uri)
    condition: Any = {"IfMatch": known} if known else {"IfNoneMatch": "*"}
    try:
        with _written(uri):
            written = s3().put_object(Bucket=bucket, Key=key, Body=data, **condition)
    except ClientError as error:
        if error.response["Error"]["Code"] in _CHANGED | _MISSING:
            return None
        raise
    return _bare(written["ETag"])


def download(uri: str, path: Path) -> None:
    """Copy an object to a local file.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    bucket, key = split_object(uri)
    with _found(uri), _read(uri):
        s3().download_file(bucket, key, str(path))


def upload(path: Path, uri: str, *, content_type: str) -> None:
    """Copy a local file to an object."""
    bucket, key = split_object(uri)
    with _written(uri):
        s3().upload_file(str(path), bucket, key, ExtraArgs={"ContentType": content_type})


def copy(source: str, target: str, *, content_type: str) -> None:
    """Copy an object server-side."""
    (from_bucket, from_key), (bucket, key) = split_object(source), split_object(target)
    with _written(target):
        s3().copy(
            {"Bucket": from_bucket, "Key": from_key},
            bucket,
            key,
            ExtraArgs={"ContentType": content_type, "MetadataDirective": "REPLACE"},
        )


def _head(uri: str) -> dict[str, Any] | None:
    bucket, key = split_object(uri)
    try:
        with _read(uri):
            return {**s3().head_object(Bucket=bucket, Key=key)}
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            return None
        raise


def _bare(etag: str) -> str:
    return etag.strip('"')


@contextmanager
def _found(uri: str) -> Iterator[None]:
    """Translate S3's errors for a missing object or bucket into FileNotFoundError."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _ABSENT:
            raise FileNotFoundError(uri) from None
        raise


def _read(uri: str) -> AbstractContextManager[None]:
    return transient_errors(f"{uri} cannot be read")


def _written(uri: str) -> AbstractContextManager[None]:
    return transient_errors(f"{uri} cannot be written")
