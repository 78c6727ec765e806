"""Read bytes of a scene's file, from disk, or from S3 or an https server by ranges.

A remote store has a latency of tens of ms, so adjacent blocks are coalesced into one request and
prefetched. Only the version of the object that was opened is read.
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
from swath.errors import SceneError, SwathError, TransientError
from swath.errors.service_errors import is_transient
from swath.raster.files.tiff_header import UnsupportedLayoutError
from swath.raster.gdal_errors import gdal_error, scene_changed
from swath.storage import https_objects, s3_objects
from swath.storage.s3_refusals import describe_refusal

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_HEADER_BYTES = 32 << 10
"""Smallest number of bytes of a header that are fetched.

They hold the tables of blocks of a scene of 20,000 x 20,000 px in tiles of 512 px.
"""
HeaderParts = tuple[tuple[int, bytes], ...]
"""Parts of a file's header: the offset of each part, and its bytes."""
_MAX_GAP_SHARE = 0.04
"""Largest share of fetched bytes that lie between blocks; in a COG, 8 bytes lie between two."""
_MAX_FREE_GAP_BYTES = 16 << 10
"""Number of bytes between blocks that are fetched whatever their share, to save requests."""
_MAX_OFFSET = (1 << 63) - 1
"""Largest offset that the operating system accepts; a damaged header may state larger ones."""
_BEYOND_END_CODE = "InvalidRange"


class File(Protocol):
    """A file of which any thread can read any part."""

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from an offset; fewer only at the end of the file.

        Raises:
            SceneChangedError: The file was replaced since it was opened.
            TransientError: The store did not answer.
        """

    def prefetch(self, row: int, byte_ranges: NDArray[np.int64]) -> None:
        """Start prefetching the bytes of a block row.

        Args:
            row: Number of the block row.
            byte_ranges: Offsets and sizes in bytes of its blocks, int64 (n, 2).
        """

    def read_block(self, row: int, offset: int, length: int) -> memoryview:
        """Return bytes of a block row that was prefetched with `prefetch`."""

    def release(self, row: int) -> None:
        """Release the bytes of a block row."""

    def close(self) -> None:
        """Close the file."""


class LocalFile:
    """A local file."""

    def __init__(self, uri: str, etag: str) -> None:
        self._uri = uri
        self._etag = etag
        self._descriptor = os.open(uri, os.O_RDONLY)

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from an offset; fewer only at the end of the file."""
        return os.pread(self._descriptor, length, offset)

    def prefetch(self, row: int, byte_ranges: NDArray[np.int64]) -> None:  # noqa: ARG002
        """Check that the file was not replaced; the operating system itself prefetches."""
        if storage.etag(self._uri) != self._etag:
            raise scene_changed(self._uri)

    def read_block(self, row: int, offset: int, length: int) -> memoryview:  # noqa: ARG002
        """Read exactly `length` bytes from an offset.

        Raises:
            UnsupportedLayoutError: The file ends before the last of these bytes.
        """
        content = os.pread(self._descriptor, length, offset)
        if len(content) != length:
            raise _truncated(len(content), length)
        return memoryview(content)

    def release(self, row: int) -> None:
        """Do nothing, as no bytes are kept."""

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


@dataclass(slots=True)
class RemoteFile:
    """A remote object, of which only the version with its ETag is read."""

    uri: str
    etag: str
    fetchers: Executor
    _rows: dict[int, list[tuple[int, int, Future[bytes]]]] = field(default_factory=dict)
    """Ranges of each prefetched block row: start, end and bytes."""

    def read(self, offset: int, length: int) -> bytes:
        """Fetch `length` bytes from an offset; fewer only at the end of the object."""
        raise NotImplementedError

    def prefetch(self, row: int, byte_ranges: NDArray[np.int64]) -> None:
        """Start fetching the blocks of a row, in coalesced ranges."""
        self._rows[row] = [
            (start, end, self.fetchers.submit(self.read, start, end - start))
            for start, end in coalesce(byte_ranges)
        ]

    def read_block(self, row: int, offset: int, length: int) -> memoryview:
        """Wait for bytes of a prefetched block row, and return them.

        Raises:
            KeyError: The bytes were not prefetched with the row.
            UnsupportedLayoutError: The object ends before the last of these bytes.
        """
        for start, end, fetched in self._rows[row]:
            if start <= offset and offset + length <= end:
                if len(content := fetched.result()) != end - start:
                    raise _truncated(len(content), end - start)
                return memoryview(content)[offset - start : offset - start + length]
        raise KeyError(f"bytes {offset} to {offset + length} were not prefetched with row {row}")

    def release(self, row: int) -> None:
        """Release the bytes of a block row."""
        self._rows.pop(row, None)

    def close(self) -> None:
        """Release the bytes of all rows."""
        self._rows.clear()


class S3File(RemoteFile):
    """An S3 object, of which only the version with its ETag is read."""

    __slots__ = ()

    def read(self, offset: int, length: int) -> bytes:
        """Fetch `length` bytes from an offset; fewer only at the end of the object."""
        try:
            return s3_objects.get_range(self.uri, self.etag, offset, length)
        except ClientError as error:
            if error.response["Error"]["Code"] == _BEYOND_END_CODE:
                return b""
            raise self._translate_error(error, offset, length) from error
        except Exception as error:
            if is_transient(error):
                raise TransientError(f"{self._problem(offset, length)}: {error}") from error
            raise

    def _translate_error(self, error: ClientError, offset: int, length: int) -> SwathError:
        """Return swath's error for a request that S3 refused."""
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        if status == HTTPStatus.PRECONDITION_FAILED:
            return scene_changed(self.uri)
        if is_transient(error):
            return TransientError(f"{self._problem(offset, length)}: {error}")
        if refusal := describe_refusal(self.uri, error):
            return SceneError(refusal)
        problem = f"cannot be read at bytes {offset} to {offset + length}"
        return gdal_error(self.uri, self.etag, problem, str(error))

    def _problem(self, offset: int, length: int) -> str:
        return f"{self.uri} cannot be read at bytes {offset} to {offset + length}"


class HttpFile(RemoteFile):
    """A file on an https server, of which only the version with its ETag is read."""

    __slots__ = ()

    def read(self, offset: int, length: int) -> bytes:
        """Fetch `length` bytes from an offset; fewer only at the end of the file."""
        return https_objects.get_range(self.uri, self.etag, offset, length)


def coalesce(byte_ranges: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Coalesce blocks into ranges of bytes, joining those with little between them.

    Args:
        byte_ranges: Offsets and sizes in bytes, int64 (n, 2), in any order; blocks may share bytes.

    Returns:
        Start and end of each range, in the order of the file.
    """
    ranges: list[tuple[int, int]] = []
    waste = useful = 0
    for offset, length in sorted({(int(o), int(n)) for o, n in byte_ranges}):
        end = offset + length
        if ranges:
            start, last = ranges[-1]
            gap = max(0, offset - last)
            useful += max(0, end - max(offset, last))
            if waste + gap <= _MAX_FREE_GAP_BYTES + _MAX_GAP_SHARE * useful:
                waste += gap
                ranges[-1] = (start, max(last, end))
                continue
        else:
            useful = length
        ranges.append((offset, end))
    return ranges


class HeaderReader:
    """Reader of a file's header, which caches the parts that it fetched."""

    def __init__(self, file: File, header_parts: HeaderParts = ()) -> None:
        """Create a reader.

        Args:
            file: File to read.
            header_parts: Parts of the header that were read already.
        """
        self._file = file
        self._parts = list(header_parts)

    @property
    def parts(self) -> HeaderParts:
        """Parts that were read: the offset of each part, and its bytes."""
        return tuple(self._parts)

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from an offset; fewer only at the end of the file."""
        for start, part in self._parts:
            if start <= offset and offset + length <= start + len(part):
                return part[offset - start : offset - start + length]
        if offset > _MAX_OFFSET:
            return b""
        part = self._file.read(offset, max(length, MIN_HEADER_BYTES))
        self._parts.append((offset, part))
        return part[:length]


@contextmanager
def open_header(uri: str, etag: str, header_parts: HeaderParts = ()) -> Iterator[HeaderReader]:
    """Open a file for reading its header, and close it on exit.

    Args:
        uri: S3 URI, https address or path of the file.
        etag: ETag of the file.
        header_parts: Parts of the header that were read already, which are not fetched again.

    Raises:
        SceneError: The file cannot be opened.
        SceneChangedError: The file is no longer there.
    """
    with ThreadPoolExecutor(1) as fetchers:
        file = open_file(uri, etag, fetchers)
        try:
            yield HeaderReader(file, header_parts)
        finally:
            file.close()


def open_file(uri: str, etag: str, fetchers: Executor) -> File:
    """Open a file for reading.

    Args:
        uri: S3 URI, https address or path of the file.
        etag: ETag of the file.
        fetchers: Executor that fetches ranges of remote files.

    Raises:
        SceneError: The file cannot be opened.
        SceneChangedError: The file is no longer there.
    """
    try:
        if storage.is_https(uri):
            return HttpFile(uri, etag, fetchers)
        return S3File(uri, etag, fetchers) if storage.is_s3(uri) else LocalFile(uri, etag)
    except OSError as error:
        remedy = "; allow this user to read it" if isinstance(error, PermissionError) else ""
        raise gdal_error(uri, etag, "cannot be opened", f"{error}{remedy}") from error


def _truncated(count: int, length: int) -> UnsupportedLayoutError:
    return UnsupportedLayoutError(f"{count} of {length} bytes; the file ends there")


def concatenate_ranges(arrays: Sequence[Any]) -> NDArray[np.int64]:
    """Concatenate positions of blocks, without the blocks that the file leaves out.

    Args:
        arrays: Arrays (…, 2) of offsets and sizes in bytes.

    Returns:
        Offsets and sizes in bytes, int64 (n, 2).
    """
    flat = np.concatenate([np.asarray(part).reshape(-1, 2) for part in arrays])
    return np.asarray(flat[flat[:, 1] > 0])
