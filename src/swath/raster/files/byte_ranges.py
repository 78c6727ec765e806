"""Bytes of one scene's file: read in place, or fetched from S3 a range at a time.

S3 has a latency of tens of ms, so what lies side by side is fetched in one go, ahead of its use.
Only the version of the object that was opened is read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from botocore.exceptions import ClientError

from swath import storage
from swath.errors import SwathError, TransientError
from swath.errors.service_errors import passes
from swath.raster.files.tiff_header import NotReadableError
from swath.raster.gdal_errors import gdal_error, scene_changed

if TYPE_CHECKING:
    from numpy.typing import NDArray

HEAD = 32 << 10
"""Bytes; what is fetched at least of a header. It holds the tables of a scene of 20,000 px."""
HeadParts = tuple[tuple[int, bytes], ...]
"""Parts of a file's header: the offset of each part, and its bytes."""
_WASTE = 0.04
"""How much of what is fetched may lie between blocks: a COG has 8 bytes there."""
_SLACK = 16 << 10
"""Bytes that are fetched rather than asked around, whatever their share."""
_LAST = (1 << 63) - 1
"""The largest offset that a system can be asked for; a damaged header has larger ones."""
_ATTEMPTS = 4
_BEYOND_END = "InvalidRange"


class File(Protocol):
    """A file of which any part can be read, by any thread."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there; fewer only at the end of the file.

        Raises:
            SceneChangedError: the file was replaced since it was opened.
            TransientError: S3 did not answer.
        """

    def expect(self, row: int, places: NDArray[np.int64]) -> None:
        """Begin to bring the bytes of a block row here, from (n, 2) offsets and lengths."""

    def content(self, row: int, offset: int, length: int) -> memoryview:
        """Bytes that were expected with a row."""

    def forget(self, row: int) -> None:
        """Let go of the bytes of a row."""

    def close(self) -> None:
        """No more will be read."""


class LocalFile:
    """A file on a disk."""

    def __init__(self, uri: str, etag: str) -> None:
        self._uri = uri
        self._etag = etag
        self._descriptor = os.open(uri, os.O_RDONLY)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there."""
        return os.pread(self._descriptor, length, offset)

    def expect(self, row: int, places: NDArray[np.int64]) -> None:  # noqa: ARG002
        """See that the file is still the one opened; the system itself reads ahead."""
        if storage.etag(self._uri) != self._etag:
            raise scene_changed(self._uri)

    def content(self, row: int, offset: int, length: int) -> memoryview:  # noqa: ARG002
        """The bytes there."""
        content = os.pread(self._descriptor, length, offset)
        if len(content) != length:
            raise _cut_off(len(content), length)
        return memoryview(content)

    def forget(self, row: int) -> None:
        """Nothing is kept."""

    def close(self) -> None:
        """Close it."""
        os.close(self._descriptor)


@dataclass(slots=True)
class S3File:
    """An S3 object, in the version of its ETag."""

    uri: str
    etag: str
    fetchers: Executor
    _rows: dict[int, list[tuple[int, int, Future[bytes]]]] = field(default_factory=dict)
    """Of each row expected: where each range starts and ends, and its bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there."""
        try:
            return self._get(offset, length)
        except ClientError as error:
            if error.response["Error"]["Code"] == _BEYOND_END:
                return b""
            raise self._explained(error, offset, length) from error
        except Exception as error:
            if passes(error):
                raise TransientError(f"{self._problem(offset, length)}: {error}") from error
            raise

    def expect(self, row: int, places: NDArray[np.int64]) -> None:
        """Begin to fetch a row, in as few ranges as make sense."""
        self._rows[row] = [
            (start, end, self.fetchers.submit(self.read, start, end - start))
            for start, end in joined(places)
        ]

    def content(self, row: int, offset: int, length: int) -> memoryview:
        """Bytes of an expected row, when they have come."""
        for start, end, fetched in self._rows[row]:
            if start <= offset and offset + length <= end:
                if len(content := fetched.result()) != end - start:
                    raise _cut_off(len(content), end - start)
                return memoryview(content)[offset - start : offset - start + length]
        raise KeyError(f"bytes {offset} to {offset + length} were not expected with row {row}")

    def forget(self, row: int) -> None:
        """Let go of a row's bytes."""
        self._rows.pop(row, None)

    def close(self) -> None:
        """Let go of everything."""
        self._rows.clear()

    def _get(self, offset: int, length: int) -> bytes:
        """One request; boto3 repeats one that was refused, but not one that breaks off.

        The loop is written by hand: it has no wait, and repeats only what fails after the answer.
        """
        bucket, key = storage.split_object(self.uri)
        for attempt in range(_ATTEMPTS):
            response = storage.s3().get_object(
                Bucket=bucket,
                Key=key,
                Range=f"bytes={offset}-{offset + length - 1}",
                IfMatch=f'"{self.etag}"',
            )
            try:
                return response["Body"].read()
            except Exception as error:
                if attempt == _ATTEMPTS - 1 or not passes(error):
                    raise
        raise AssertionError

    def _explained(self, error: ClientError, offset: int, length: int) -> SwathError:
        """The error that says whose fault it is that S3 refused."""
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == HTTPStatus.PRECONDITION_FAILED:
            return scene_changed(self.uri)
        if passes(error):
            return TransientError(f"{self._problem(offset, length)}: {error}")
        problem = f"cannot be read at bytes {offset} to {offset + length}"
        return gdal_error(self.uri, self.etag, problem, str(error))

    def _problem(self, offset: int, length: int) -> str:
        return f"{self.uri} cannot be read at bytes {offset} to {offset + length}"


def joined(places: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Ranges of bytes that cover all places, joined where little lies between them.

    Args:
        places: int64 (n, 2), offsets and lengths in any order; blocks may share bytes.

    Returns:
        Where each range starts and ends, in the order of the file.
    """
    ranges: list[tuple[int, int]] = []
    waste = useful = 0
    for offset, length in sorted({(int(o), int(n)) for o, n in places}):
        end = offset + length
        if ranges:
            start, last = ranges[-1]
            gap = max(0, offset - last)
            useful += max(0, end - max(offset, last))
            if waste + gap <= _SLACK + _WASTE * useful:
                waste += gap
                ranges[-1] = (start, max(last, end))
                continue
        else:
            useful = length
        ranges.append((offset, end))
    return ranges


class Head:
    """Reads the header of a file, of which small parts are wanted one after the other."""

    def __init__(self, file: File, known: HeadParts = ()) -> None:
        """Read a file of which parts may be known already."""
        self._file = file
        self._parts = list(known)

    @property
    def parts(self) -> HeadParts:
        """Where each part that was read begins, and its bytes."""
        return tuple(self._parts)

    def read(self, offset: int, length: int) -> bytes:
        """The bytes there; fewer only at the end of the file."""
        for start, part in self._parts:
            if start <= offset and offset + length <= start + len(part):
                return part[offset - start : offset - start + length]
        if offset > _LAST:
            return b""
        part = self._file.read(offset, max(length, HEAD))
        self._parts.append((offset, part))
        return part[:length]


@contextmanager
def opened_file(uri: str, etag: str, known: HeadParts = ()) -> Iterator[Head]:
    """Give what reads the header of a file; what is known of it is not fetched again.

    Raises:
        SceneChangedError: it is no longer there.
    """
    with ThreadPoolExecutor(1) as fetchers:
        file = open_file(uri, etag, fetchers)
        try:
            yield Head(file, known)
        finally:
            file.close()


def open_file(uri: str, etag: str, fetchers: Executor) -> File:
    """Open a file for reading.

    Raises:
        SceneChangedError: it is no longer there.
    """
    try:
        return S3File(uri, etag, fetchers) if storage.is_s3(uri) else LocalFile(uri, etag)
    except OSError as error:
        remedy = "; allow this user to read it" if isinstance(error, PermissionError) else ""
        raise gdal_error(uri, etag, "cannot be opened", f"{error}{remedy}") from error


def _cut_off(count: int, length: int) -> NotReadableError:
    return NotReadableError(f"{count} of {length} bytes; the file ends there")


def places_of(found: Sequence[Any]) -> NDArray[np.int64]:
    """Places (n, 2) out of several arrays (…, 2), without the blocks that were left out."""
    flat = np.concatenate([np.asarray(part).reshape(-1, 2) for part in found])
    return np.asarray(flat[flat[:, 1] > 0])
