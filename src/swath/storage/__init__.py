"""Read and write objects by address, which is `s3://bucket/key` or a local path.

An `https://` address can be read, if its server sends ETags and ranges of bytes.

Writes are atomic: S3 guarantees that, and a local file is written under a temporary name and then
renamed.

Functions that call S3 or an https server raise a TransientError if a retry can fix its failure.
They raise botocore's ClientError if S3 refuses the request, and a SceneError if an https server
does, or S3 for a bucket of `configure_bucket`.
"""

from swath.storage.addresses import (
    file_name,
    is_https,
    is_remote,
    is_s3,
    join,
    resolve,
    split_https,
    split_object,
    split_s3,
    with_suffix,
)
from swath.storage.as_files import copy, reading, reading_each, writing
from swath.storage.bucket_access import (
    DEFAULT_ACCESS,
    BucketAccess,
    access_to,
    bucket_access,
    configure_access,
    configure_bucket,
    forget_buckets,
)
from swath.storage.listing import ListedObject, iterate_objects, list_objects
from swath.storage.object_status import ObjectStatus
from swath.storage.objects import (
    digest,
    etag,
    exists,
    is_readable,
    modified,
    read_bounded,
    read_bytes,
    read_end,
    read_json,
    read_with_etag,
    require_etag,
    status,
    status_and_head,
    user_metadata,
    write_bytes,
    write_if_unchanged,
    write_json,
)
from swath.storage.s3_objects import s3, s3_for

__all__ = [
    "DEFAULT_ACCESS",
    "BucketAccess",
    "ListedObject",
    "ObjectStatus",
    "access_to",
    "bucket_access",
    "configure_access",
    "configure_bucket",
    "copy",
    "digest",
    "etag",
    "exists",
    "file_name",
    "forget_buckets",
    "is_https",
    "is_readable",
    "is_remote",
    "is_s3",
    "iterate_objects",
    "join",
    "list_objects",
    "modified",
    "read_bounded",
    "read_bytes",
    "read_end",
    "read_json",
    "read_with_etag",
    "reading",
    "reading_each",
    "require_etag",
    "resolve",
    "s3",
    "s3_for",
    "split_https",
    "split_object",
    "split_s3",
    "status",
    "status_and_head",
    "user_metadata",
    "with_suffix",
    "write_bytes",
    "write_if_unchanged",
    "write_json",
    "writing",
]
