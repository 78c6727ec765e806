"""Read and write objects by address, which is `s3://bucket/key` or a local path.

Writes are atomic: S3 guarantees that, and a local file is written under a temporary name and then
renamed.

Functions that call S3 raise a TransientError if a retry can fix S3's failure, and botocore's
ClientError if S3 refuses the request.
"""

from swath.storage.addresses import file_name, is_s3, join, resolve, split_object, split_s3
from swath.storage.as_files import copy, reading, reading_each, writing
from swath.storage.listing import ListedObject, iterate_objects, list_objects
from swath.storage.object_status import ObjectStatus
from swath.storage.objects import (
    digest,
    etag,
    exists,
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
from swath.storage.s3_objects import s3

__all__ = [
    "ListedObject",
    "ObjectStatus",
    "copy",
    "digest",
    "etag",
    "exists",
    "file_name",
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
    "split_object",
    "split_s3",
    "status",
    "status_and_head",
    "user_metadata",
    "write_bytes",
    "write_if_unchanged",
    "write_json",
    "writing",
]
