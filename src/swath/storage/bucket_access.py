"""Hold what access to the buckets of others needs: a region, and who pays for requests.

The registry applies to the whole process, since boto3's clients, swath's own reader and GDAL all
read from a bucket. Buckets that are not in it have the region of the process, and their owners pay.
"""

from __future__ import annotations

import re
import threading
from typing import Any

import msgspec

from swath.errors import InputError
from swath.storage.addresses import is_s3, split_s3

_VALID_REGION = re.compile(r"[a-z]{2,}(-[a-z]+)+-\d+")


class BucketAccess(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Access of this process to a bucket."""

    region: str = ""
    """AWS region of the bucket; empty for that of the process."""
    requester_pays: bool = False
    """Whether the reader, not the owner, pays for requests and transfer."""

    @property
    def read_options(self) -> dict[str, Any]:
        """Further parameters of S3's HeadObject and GetObject."""
        return {"RequestPayer": "requester"} if self.requester_pays else {}


DEFAULT_ACCESS = BucketAccess()
_lock = threading.Lock()
_buckets: dict[str, BucketAccess] = {}


def configure_bucket(bucket: str, access: BucketAccess) -> None:
    """Set how this process reads from a bucket of others.

    Args:
        bucket: Name of the bucket.
        access: Region of the bucket, and who pays.

    Raises:
        InputError: The region is not a name of an AWS region.
    """
    if access.region and not _VALID_REGION.fullmatch(access.region):
        raise InputError(
            f"the region of the bucket {bucket} is {access.region!r}, which is no AWS region; "
            "write it like eu-central-1"
        )
    with _lock:
        _buckets[bucket] = access


def configure_access(uri: str, access: BucketAccess) -> None:
    """Set how this process reads from the bucket of an object; other addresses need no access.

    Args:
        uri: Address of the object.
        access: Region of the bucket, and who pays.

    Raises:
        InputError: The region is not a name of an AWS region.
    """
    if is_s3(uri):
        configure_bucket(split_s3(uri)[0], access)


def bucket_access(bucket: str) -> BucketAccess:
    """Return how this process reads from a bucket."""
    return _buckets.get(bucket, DEFAULT_ACCESS)


def access_to(uri: str) -> BucketAccess:
    """Return how this process reads an object; other addresses need no access."""
    return bucket_access(split_s3(uri)[0]) if is_s3(uri) else DEFAULT_ACCESS


def is_configured(bucket: str) -> bool:
    """Return whether a bucket is one of others, which `configure_bucket` has set."""
    return bucket in _buckets


def forget_buckets() -> None:
    """Remove all buckets from the registry, as in a new process."""
    with _lock:
        _buckets.clear()
