"""Read and write objects on S3.

The functions raise a TransientError if S3 fails and a retry can succeed, and botocore's ClientError
if S3 refuses the request. If S3 refuses to read from a bucket of others, which `configure_bucket`
has set, they raise a SceneError.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from swath.errors import SceneError
from swath.errors.service_errors import is_transient, translate_transient_errors
from swath.storage.addresses import split_object, split_s3
from swath.storage.bucket_access import bucket_access
from swath.storage.object_status import ObjectStatus
from swath.storage.s3_refusals import describe_refusal, is_forbidden

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_CLIENT_CONFIG = Config(retries={"mode": "standard", "total_max_attempts": 5})
_MISSING_OBJECT_CODES = {"404", "NoSuchKey", "NotFound"}
_MISSING_CODES = _MISSING_OBJECT_CODES | {"NoSuchBucket"}
_MAX_ATTEMPTS = 4
"""Number of requests for a range whose transfer breaks off."""
# Another process has written the object since, or is writing it at this moment.
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
_CONFLICT_CODES = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}


@functools.cache
def s3(region: str = "") -> S3Client:
    """Return this process's S3 client of a region, created at the first call.

    Args:
        region: AWS region; empty for that of the process.
    """
    return boto3.client("s3", region_name=region or None, config=_CLIENT_CONFIG)


def s3_for(bucket: str) -> S3Client:
    """Return the S3 client of the region of a bucket."""
    region = bucket_access(bucket).region
    return s3(region) if region else s3()


def read_status(uri: str) -> ObjectStatus | None:
    """Return the ETag and size of an object; None if there is no object."""
    head = _head(uri)
    return ObjectStatus(_unquote(head["ETag"]), head["ContentLength"]) if head else None


def read_modified(uri: str) -> datetime | None:
    """Return the modification time of an object; None if there is no object."""
    head = _head(uri)
    return head["LastModified"] if head else None


def read_user_metadata(uri: str) -> dict[str, str]:
    """Return the user-defined metadata of an object; empty if there is no object."""
    head = _head(uri)
    return dict(head["Metadata"]) if head else {}


def is_readable(uri: str) -> bool:
    """Return whether an object exists and may be read.

    S3 refuses requests for objects that do not exist, if the reader may not list the bucket.
    """
    try:
        return _head(uri) is not None
    except (ClientError, SceneError) as error:
        refusal = error if isinstance(error, ClientError) else error.__cause__
        if isinstance(refusal, ClientError) and is_forbidden(refusal):
            return False
        raise


def get_start(uri: str, length: int) -> tuple[ObjectStatus, bytes] | None:
    """Return the status and the first `length` bytes of an object by one request.

    Returns:
        The status and the bytes; None if the request failed, because the object is missing or
        empty, or because S3 is busy.
    """
    bucket, key = split_object(uri)
    try:
        response = s3_for(bucket).get_object(
            Bucket=bucket,
            Key=key,
            Range=f"bytes=0-{length - 1}",
            **bucket_access(bucket).read_options,
        )
        size = int(response["ContentRange"].rpartition("/")[2])
        return ObjectStatus(_unquote(response["ETag"]), size), response["Body"].read()
    except ClientError:
        return None
    except Exception as error:
        if not is_transient(error):
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
    with _translate_missing(uri), _translate_read_errors(uri):
        response = s3_for(bucket).get_object(
            Bucket=bucket, Key=key, **bucket_access(bucket).read_options, **options
        )
        return response["Body"].read(), _unquote(response["ETag"])


def get_range(uri: str, etag: str, offset: int, length: int) -> bytes:
    """Return `length` bytes of an object from an offset; fewer only at the end of the object.

    boto3 itself retries requests that S3 refuses, but not a body that breaks off after the
    response began. Only such transfers are retried here, without a delay.

    Args:
        uri: S3 URI of the object.
        etag: ETag that the object must have.
        offset: First byte.
        length: Number of bytes.
    """
    bucket, key = split_object(uri)
    for attempt in range(_MAX_ATTEMPTS):
        response = s3_for(bucket).get_object(
            Bucket=bucket,
            Key=key,
            Range=f"bytes={offset}-{offset + length - 1}",
            IfMatch=f'"{etag}"',
            **bucket_access(bucket).read_options,
        )
        try:
            return response["Body"].read()
        except Exception as error:
            if attempt == _MAX_ATTEMPTS - 1 or not is_transient(error):
                raise
    raise AssertionError


def put(uri: str, data: bytes, *, content_type: str) -> None:
    """Write an object, and replace an earlier one."""
    bucket, key = split_object(uri)
    with _translate_write_errors(uri):
        s3().put_object(Bucket=bucket, Key=key, Body=data, ContentType=content_type)


def put_if_unchanged(
    uri: str, data: bytes, expected_etag: str | None, *, content_type: str
) -> str | None:
    """Write an object if the stored one still has a known ETag.

    Args:
        uri: Address of the object.
        data: Bytes to write.
        expected_etag: ETag of the object to replace; None if there must be no object.
        content_type: Media type of the object.

    Returns:
        The new ETag; None if the object has changed, so that nothing was written.
    """
    bucket, key = split_object(uri)
    condition: Any = {"IfMatch": expected_etag} if expected_etag else {"IfNoneMatch": "*"}
    try:
        with _translate_write_errors(uri):
            response = s3().put_object(
                Bucket=bucket, Key=key, Body=data, ContentType=content_type, **condition
            )
    except ClientError as error:
        if error.response["Error"]["Code"] in _CONFLICT_CODES | _MISSING_OBJECT_CODES:
            return None
        raise
    return _unquote(response["ETag"])


def download(uri: str, path: Path) -> None:
    """Copy an object to a local file.

    Raises:
        FileNotFoundError: There is no object at the address.
    """
    bucket, key = split_object(uri)
    with _translate_missing(uri), _translate_read_errors(uri):
        s3_for(bucket).download_file(
            bucket, key, str(path), ExtraArgs={**bucket_access(bucket).read_options}
        )


def upload(path: Path, uri: str, *, content_type: str) -> None:
    """Copy a local file to an object."""
    bucket, key = split_object(uri)
    with _translate_write_errors(uri):
        s3().upload_file(str(path), bucket, key, ExtraArgs={"ContentType": content_type})


def copy(source: str, target: str, *, content_type: str) -> None:
    """Copy an object server-side."""
    (from_bucket, from_key), (bucket, key) = split_object(source), split_object(target)
    with _translate_write_errors(target):
        s3().copy(
            {"Bucket": from_bucket, "Key": from_key},
            bucket,
            key,
            ExtraArgs={"ContentType": content_type, "MetadataDirective": "REPLACE"},
        )


@dataclass(frozen=True, slots=True)
class ListedKey:
    """Object in S3's list of a bucket."""

    bucket: str
    key: str
    etag: str
    size: int
    """Size in bytes."""
    modified: datetime


def iterate(prefix: str, *, after: str = "") -> Iterator[ListedKey]:
    """Yield the objects whose address begins with a prefix, in the order of their keys.

    Args:
        prefix: `s3://BUCKET/PREFIX`.
        after: Rest of the address after which the list begins; empty for all objects.
    """
    bucket, key = split_s3(prefix)
    options = bucket_access(bucket).read_options
    if after:
        options["StartAfter"] = key + after
    with _translate_missing(prefix), _translate_read_errors(prefix):
        lister = s3_for(bucket).get_paginator("list_objects_v2")
        pages = lister.paginate(Bucket=bucket, Prefix=key, **options)
        for page in pages:
            for entry in page.get("Contents", ()):
                yield ListedKey(
                    bucket,
                    entry["Key"],
                    _unquote(entry["ETag"]),
                    entry["Size"],
                    entry["LastModified"],
                )


def _head(uri: str) -> dict[str, Any] | None:
    bucket, key = split_object(uri)
    try:
        with _translate_read_errors(uri):
            options = bucket_access(bucket).read_options
            return {**s3_for(bucket).head_object(Bucket=bucket, Key=key, **options)}
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING_CODES:
            return None
        raise


def _unquote(etag: str) -> str:
    return etag.strip('"')


@contextmanager
def _translate_missing(uri: str) -> Iterator[None]:
    """Translate S3's errors for a missing object or bucket into FileNotFoundError."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] in _MISSING_CODES:
            raise FileNotFoundError(uri) from None
        raise


@contextmanager
def _translate_read_errors(uri: str) -> Iterator[None]:
    try:
        with translate_transient_errors(f"{uri} cannot be read"):
            yield
    except ClientError as error:
        if refusal := describe_refusal(uri, error):
            raise SceneError(refusal) from error
        raise


def _translate_write_errors(uri: str) -> AbstractContextManager[None]:
    return translate_transient_errors(f"{uri} cannot be written")
