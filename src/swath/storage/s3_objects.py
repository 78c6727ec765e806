"""Objects on S3.

What S3 cannot do now is a TransientError, what it refuses botocore's ClientError.
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
# Somebody else has written the object since, or is writing it at this moment.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_CHANGED = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@functools.cache
def s3() -> S3Client:
    """Return this process's S3 client."""
    return boto3.client("s3", config=_RETRIES)


def read_status(uri: str) -> Status | None:
    """Return the ETag and size of an object; None where there is no object."""
    head = _head(uri)
    return Status(_bare(head["ETag"]), head["ContentLength"]) if head else None


def read_modified(uri: str) -> datetime | None:
    """Return when an object was written; None where there is no object."""
    head = _head(uri)
    return head["LastModified"] if head else None


def get_start(uri: str, length: int) -> tuple[Status, bytes] | None:
    """Return the status and the first bytes of an object by one request.

    Returns:
        None where that request tells nothing: the object is missing, or empty, or S3 is busy.
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

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    bucket, key = split_object(uri)
    with _found(uri), _read(uri):
        found = s3().get_object(Bucket=bucket, Key=key, **options)
        return found["Body"].read(), _bare(found["ETag"])


def put(uri: str, data: bytes, *, content_type: str) -> None:
    """Write an object, replacing what was there."""
    bucket, key = split_object(uri)
    with _written(uri):
        s3().put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)


def put_if_unchanged(uri: str, data: bytes, known: str | None) -> str | None:
    """Write an object where the one of an ETag is, or none; return the new ETag if that was so."""
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
    """Copy one object to another on the side of S3."""
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
    """Say that there is no object where S3 says so."""
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
