"""S3 in memory, with its conditional writes and its consistent lists; a test acts between calls."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore.exceptions import ClientError

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


@dataclass
class MemoryS3:
    """Client of S3. `between` is called before each request, and may itself make requests."""

    now: datetime = NOON
    objects: dict[tuple[str, str], tuple[bytes, datetime]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    between: Callable[[], None] = lambda: None

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **options: Any) -> dict[str, Any]:  # noqa: N803
        self._begin("put")
        stored = self.objects.get((Bucket, Key))
        if options.get("IfNoneMatch") and stored:
            raise _error("PreconditionFailed", 412)
        if "IfMatch" in options and (not stored or _etag(stored[0]) != options["IfMatch"]):
            raise _error("PreconditionFailed", 412)
        self.objects[Bucket, Key] = Body, self.now
        return {"ETag": f'"{_etag(Body)}"'}

    def get_object(self, *, Bucket: str, Key: str, Range: str = "") -> dict[str, Any]:  # noqa: N803
        self._begin("get")
        content, modified = self._stored(Bucket, Key)
        start, _, end = Range.removeprefix("bytes=").partition("-")
        if Range and not content:
            raise _error("InvalidRange", 416)
        part = content[int(start) : int(end) + 1] if start else content
        return {
            "Body": io.BytesIO(part),
            "ETag": f'"{_etag(content)}"',
            "ContentRange": f"bytes 0-{len(part)}/{len(content)}",
            "LastModified": modified,
        }

    def head_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803
        self._begin("head")
        content, modified = self._stored(Bucket, Key)
        return {
            "ETag": f'"{_etag(content)}"',
            "ContentLength": len(content),
            "LastModified": modified,
        }

    def get_paginator(self, name: str) -> MemoryS3:
        assert name == "list_objects_v2"
        return self

    def paginate(
        self,
        *,
        Bucket: str,  # noqa: N803
        Prefix: str,  # noqa: N803
        StartAfter: str = "",  # noqa: N803
    ) -> Iterator[dict[str, Any]]:
        self._begin("list")
        keys = sorted(
            key
            for bucket, key in self.objects
            if bucket == Bucket and key.startswith(Prefix) and key > StartAfter
        )
        yield {"Contents": [self._entry(Bucket, key) for key in keys]}

    def _entry(self, bucket: str, key: str) -> dict[str, Any]:
        content, modified = self.objects[bucket, key]
        return {
            "Key": key,
            "ETag": f'"{_etag(content)}"',
            "Size": len(content),
            "LastModified": modified.replace(microsecond=0),
        }

    def _stored(self, bucket: str, key: str) -> tuple[bytes, datetime]:
        stored = self.objects.get((bucket, key))
        if stored is None:
            raise _error("NoSuchKey", 404)
        return stored[0], stored[1].replace(microsecond=0)

    def _begin(self, call: str) -> None:
        self.between()
        self.calls.append(call)


def _etag(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()  # noqa: S324


def _error(code: str, status: int) -> ClientError:
    return ClientError(
        {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "request"
    )
