"""Let GDAL read remote files through swath's own reader, which pins the ETag.

GDAL's own reader of https addresses follows every redirect, to any host.
"""

from __future__ import annotations

import io
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING

from swath.raster import gdal_opener
from swath.raster.files.byte_ranges import HeaderParts, open_file

if TYPE_CHECKING:
    from swath.raster.files.byte_ranges import File

PIECE_BYTES = 256 << 10
"""Size in bytes of the pieces in which a file is fetched and cached."""
MAX_FETCH_BYTES = 4 << 20
"""Maximum number of bytes of a request that reads ahead."""
CACHE_BYTES = 16 << 20
"""Maximum number of bytes that are cached for each open file."""


class PiecewiseFile(io.RawIOBase):
    """A file for GDAL that is fetched in pieces; sequential reads fetch ahead.

    GDAL cannot pass on Python's errors, so an error is kept in `errors` and the read returns no
    bytes.
    """

    def __init__(
        self, file: File, size: int, header_parts: HeaderParts, errors: list[BaseException]
    ) -> None:
        super().__init__()
        self._file, self._size, self._errors = file, size, errors
        self._header_parts = header_parts
        self._pieces: OrderedDict[int, bytes] = OrderedDict()
        self._position = 0
        self._next_piece, self._ahead = -1, 1

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to an offset in bytes."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Read bytes from the current offset; fewer at the end of the file or after an error."""
        start = self._position
        end = self._size if size < 0 else min(self._size, start + size)
        if start >= end:
            return b""
        try:
            content = self._header_bytes(start, end) or self._read_pieces(start, end)
        except Exception as error:  # noqa: BLE001 (raised again where GDAL returns)
            self._errors.append(error)
            return b""
        self._position += len(content)
        return content

    def _header_bytes(self, start: int, end: int) -> bytes:
        for offset, part in self._header_parts:
            if offset <= start and end <= offset + len(part):
                return part[start - offset : end - offset]
        return b""

    def _read_pieces(self, start: int, end: int) -> bytes:
        first, last = start // PIECE_BYTES, (end - 1) // PIECE_BYTES
        content = b"".join(self._piece(number, last) for number in range(first, last + 1))
        skipped = start - first * PIECE_BYTES
        return content[skipped : skipped + end - start]

    def _piece(self, number: int, last: int) -> bytes:
        piece = self._pieces.get(number)
        if piece is None:
            piece = self._fetch(number, last)
        else:
            self._pieces.move_to_end(number)
        return piece

    def _fetch(self, number: int, last: int) -> bytes:
        """Fetch a piece with those that follow it, and return it.

        Args:
            number: Number of the piece.
            last: Number of the last piece that the current read needs.
        """
        self._ahead = 2 * self._ahead if number == self._next_piece else 1
        most = MAX_FETCH_BYTES // PIECE_BYTES
        stop = number + min(most, max(last + 1 - number, self._ahead))
        known = next((n for n in range(number + 1, stop) if n in self._pieces), stop)
        start, end = number * PIECE_BYTES, min(known * PIECE_BYTES, self._size)
        content = self._file.read(start, end - start)
        for piece in range(number, known):
            offset = (piece - number) * PIECE_BYTES
            self._pieces[piece] = content[offset : offset + PIECE_BYTES]
        self._next_piece = known
        self._ahead = min(self._ahead, most)
        while len(self._pieces) > CACHE_BYTES // PIECE_BYTES:
            self._pieces.popitem(last=False)
        return content[:PIECE_BYTES]


class RemoteSource:
    """A remote file that GDAL may open by `path`, until it is closed.

    Attributes:
        path: Path for GDAL.
    """

    def __init__(self, uri: str, etag: str, size: int, header_parts: HeaderParts = ()) -> None:
        """Make a file available to GDAL.

        Args:
            uri: Https address.
            etag: ETag of the file.
            size: Size in bytes.
            header_parts: Parts of the header that were read already.
        """
        self._fetchers = ThreadPoolExecutor(1)
        self._file = open_file(uri, etag, self._fetchers)
        self._size, self._header_parts = size, header_parts
        self._errors: list[BaseException] = []
        self.path = gdal_opener.add(self._open, size)

    def _open(self) -> PiecewiseFile:
        return PiecewiseFile(self._file, self._size, self._header_parts, self._errors)

    @contextmanager
    def raise_errors(self) -> Iterator[None]:
        """Raise the error of a read within the block, rather than GDAL's message about it."""
        self._errors.clear()
        try:
            yield
        except Exception as error:
            if self._errors:
                raise self._errors[0] from error
            raise
        if self._errors:
            raise self._errors[0]

    def close(self) -> None:
        """Remove the file from those that GDAL may open."""
        gdal_opener.remove(self.path)
        self._file.close()
        self._fetchers.shutdown()
