"""Write the detections of a shard to a Parquet file tile by tile, and read them in order."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
import pyarrow.parquet as pq

from swath.detection.detections import SCHEMA, Detections

ROW_GROUP_ROWS = 65536
MAX_ROW_GROUP_VERTICES = 1 << 22
"""Maximum number of outline vertices in a row group, 64 MB; segmentation outlines can be long."""

_STREAMED_KEY = "swath:streamed"
"""Key of the file's metadata: number of row groups that were written tile by tile."""


class DetectionsWriter:
    """Writes a Parquet file tile by tile; the detections of a tile share one row group.

    Stitched detections of any tile may follow at the end; `read_in_order` merges them by tile.
    """

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self._pending: list[Detections] = []
        self._rows = self._vertices = 0
        self._groups = 0
        self.count = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._writer.close()

    def close(self) -> None:
        """Close the file, which can be read from then on."""
        self._flush()
        self._writer.close()

    def append(self, detections: Detections) -> None:
        """Add the detections of whole tiles."""
        self._pending.append(detections)
        self._rows += len(detections)
        self._vertices += detections.vertex_count
        self.count += len(detections)
        if self._rows >= ROW_GROUP_ROWS or self._vertices >= MAX_ROW_GROUP_VERTICES:
            self._flush()

    def finish(self, stitched: Detections) -> None:
        """Add the stitched detections, after those of all tiles."""
        self._flush()
        self.add_metadata(_STREAMED_KEY, str(self._groups))
        for start in range(0, len(stitched), ROW_GROUP_ROWS):
            self.append(stitched.take(slice(start, start + ROW_GROUP_ROWS)))

    def add_metadata(self, key: str, text: str) -> None:
        """Store a text in the file's metadata under a key."""
        self._writer.add_key_value_metadata({key: text})

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(Detections.concatenate(self._pending).to_table())
            self._groups += 1
        self._pending, self._rows, self._vertices = [], 0, 0


def read_metadata(path: Path, key: str) -> str:
    """Return a text that `DetectionsWriter.add_metadata` stored under a key."""
    return str(pq.read_metadata(path).metadata[key.encode()].decode())


def read_detections(path: Path) -> Iterator[Detections]:
    """Yield the detections of a file, one row group at a time."""
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield Detections.from_table(file.read_row_group(group))


def read_in_order(path: Path, others: Detections) -> Iterator[Detections]:
    """Yield the detections of a finished shard, and others, by tile, then best first.

    One row group at a time and all stitched detections are held in memory.

    Args:
        path: File that `DetectionsWriter.finish` ended.
        others: Other detections of the shard's tiles, in any order.
    """
    with pq.ParquetFile(path) as file:
        streamed = int(file.metadata.metadata[_STREAMED_KEY.encode()])
        groups = (Detections.from_table(file.read_row_group(g)) for g in range(streamed))
        end = file.read_row_groups(list(range(streamed, file.num_row_groups)))
        late = Detections.concatenate([Detections.from_table(end), others]).sorted_by_tile()
        yield from _merge_by_tile(groups, late)


def _merge_by_tile(groups: Iterator[Detections], late: Detections) -> Iterator[Detections]:
    done = 0
    for group in groups:
        # The group has all detections of its tiles, so no later group has any of them.
        until = int(np.searchsorted(late.tile, group.tile[-1], side="right"))
        yield Detections.concatenate([group, late.take(slice(done, until))]).sorted_by_tile()
        done = until
    yield late.take(slice(done, None))
