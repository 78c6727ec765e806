"""Count the bytes of blocks that the reader reads, on disk and on S3."""

import threading
from contextlib import contextmanager

import pytest

from swath.raster.files.byte_ranges import LocalFile, S3File


@contextmanager
def counted_bytes():
    """Yield the bytes of blocks that were read so far, by address of the file.

    Bytes of headers do not count: the reader's threads for prefetching read no header.
    """
    counts, lock = {}, threading.Lock()

    def count(uri, length):
        with lock:
            counts[uri] = counts.get(uri, 0) + length

    def read_block(file, row, offset, length):
        content = original_block(file, row, offset, length)
        count(file._uri, len(content))
        return content

    def fetch_range(file, offset, length):
        content = original_range(file, offset, length)
        if "fetch" in threading.current_thread().name:
            count(file.uri, len(content))
        return content

    original_block, original_range = LocalFile.read_block, S3File.read
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(LocalFile, "read_block", read_block)
        patch.setattr(S3File, "read", fetch_range)
        yield counts
