"""Compute how many bytes a run reads of each file of a scene, without reading any block.

The sources of the blocks are opened as for reading, and asked for the positions of their blocks.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from rasterio.enums import Interleaving

from swath import storage
from swath.raster.dataset import pixel_dtype
from swath.raster.files.byte_ranges import coalesce
from swath.raster.reader.block_schedule import schedule_block_rows
from swath.raster.reader.tile_reader import open_source
from swath.raster.reader.workers import Workers

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.io import DatasetReader

    from swath._types import Ints
    from swath.raster.dataset import PinnedDataset
    from swath.raster.files.byte_ranges import File
    from swath.raster.reader.block_cache import BlockSource
    from swath.raster.reader.memory_check import MemoryNeed
    from swath.raster.scene import Scene


@dataclass(slots=True, kw_only=True)
class ReadSize:
    """Bytes of one file that a run reads, without those of its header."""

    uri: str
    file_bytes: int
    """Size of the file."""
    block_bytes: int = 0
    """Sum of the stored sizes of the blocks that are read; a block counts once for each shard."""
    fetched_bytes: int = 0
    """`block_bytes`, and the gaps between blocks that are fetched from S3 by one request."""
    decoded_bytes: int = 0
    """Size in bytes of the pixels that are decoded, those of other bands in the blocks included."""
    compression: str = ""
    """Compression of the blocks: GDAL's name such as `DEFLATE`, or `JPEG2000`; empty if unknown."""
    requests: int = 0
    """Number of requests to S3."""
    is_exact: bool = True
    """Whether the numbers are those of the blocks. If GDAL reads the file, they are unknown:
    `block_bytes` and `fetched_bytes` are then `file_bytes`."""

    def add_row(self, needed: Ints | None, fetched: Ints | None) -> None:
        """Add the blocks of a block row.

        Args:
            needed: Offsets and sizes in bytes, (n, 2), of the blocks that are decoded; None if
                unknown.
            fetched: Those of the blocks that are fetched from S3; None if unknown.
        """
        if needed is None or fetched is None or not self.is_exact:
            self.is_exact, self.requests = False, 0
            self.block_bytes = self.fetched_bytes = self.file_bytes
            return
        self.block_bytes += int(needed[:, 1].sum())
        parts = coalesce(fetched)
        self.fetched_bytes += sum(end - start for start, end in parts)
        self.requests += len(parts)


def read_sizes(scene: Scene, bands: Sequence[int], shards: Iterable[Ints]) -> list[ReadSize]:
    """Return what the shards of a run read of each file of a scene.

    Args:
        scene: Open scene.
        bands: Numbers of the bands, from 1, in the model's order.
        shards: Windows (n, 4) of each shard's tiles: x, y, width and height in scene px.

    Raises:
        SceneError: A file cannot be opened.
        SceneChangedError: A file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    sizes = {file.uri: _new_size(file) for file in scene.files}
    with _Recorder() as recorder:
        for windows in shards:
            recorder.clear()
            open_source(scene, bands, windows, recorder)
            for uri, needed, fetched in recorder.rows:
                sizes[uri].add_row(needed, fetched)
            for uri, count in recorder.decoded:
                sizes[uri].decoded_bytes += count
    return list(sizes.values())


def _new_size(file: PinnedDataset) -> ReadSize:
    status = storage.status(file.uri)
    return ReadSize(
        uri=file.uri,
        file_bytes=status.size if status else 0,
        compression=_compression(file.reader),
    )


def _compression(reader: DatasetReader) -> str:
    if reader.driver != "GTiff":
        return "JPEG2000" if reader.driver.startswith("JP2") else ""
    return reader.compression.name.upper() if reader.compression else "NONE"


class _Recorder(Workers):
    """Workers that read nothing but headers, and record which blocks would be read."""

    def __init__(self) -> None:
        super().__init__(1)
        self.rows: list[tuple[str, Ints | None, Ints | None]] = []
        """Arguments of `ReadSize.add_row` for each block row, after the file's address."""
        self.decoded: list[tuple[str, int]] = []
        """Address and decoded bytes of each file that was opened for a shard."""
        self._headers: dict[str, _HeaderCache] = {}

    def clear(self) -> None:
        """Forget what was recorded, but not the headers."""
        self.rows.clear()
        self.decoded.clear()

    def reserve_memory(
        self, dataset: PinnedDataset, need: MemoryNeed, *, purpose: str = "blocks"
    ) -> None:
        """Do nothing, as no block is decoded here."""

    def open(self, dataset: PinnedDataset) -> File:
        """Open the file of a dataset once, with a cache for its header."""
        if dataset.uri not in self._headers:
            self._headers[dataset.uri] = _HeaderCache(super().open(dataset))
        return self._headers[dataset.uri]

    def note_unknown_reads(self, datasets: Sequence[PinnedDataset]) -> None:
        """Record that the blocks of files are unknown."""
        self.rows += [(dataset.uri, None, None) for dataset in datasets]

    def note_source(
        self, dataset: PinnedDataset, source: BlockSource, windows: Ints, layers: int
    ) -> None:
        """Record the blocks that windows need."""
        tops = windows[:, 1]
        spans = np.unique(np.stack([tops, tops + windows[:, 3]], axis=1), axis=0)
        grid, pixels = source.block_grid, 0
        for row in schedule_block_rows(grid.block_ranges(windows)):
            height = min(grid.block_height, dataset.reader.height - grid.row_top(row.row))
            pixels += len(row.columns) * grid.block_width * height
            fetched = source.byte_ranges(row)
            self.rows.append((dataset.uri, source.byte_ranges(row, spans), fetched))
        self.decoded.append((dataset.uri, pixels * _pixel_bytes(dataset.reader, layers)))


def _pixel_bytes(reader: DatasetReader, layers: int) -> int:
    """Return the bytes of a pixel that are decoded, if some layers of it are wanted."""
    interleaved = reader.interleaving is Interleaving.pixel
    return np.dtype(pixel_dtype(reader)).itemsize * (reader.count if interleaved else layers)


@dataclass(slots=True)
class _HeaderCache:
    """File of which each range is read once: the tables of blocks, which all shards need."""

    file: File
    _parts: dict[tuple[int, int], bytes] = field(default_factory=dict)

    def read(self, offset: int, length: int) -> bytes:
        """Read `length` bytes from an offset; fewer only at the end of the file."""
        if (offset, length) not in self._parts:
            self._parts[offset, length] = self.file.read(offset, length)
        return self._parts[offset, length]

    def prefetch(self, row: int, byte_ranges: NDArray[np.int64]) -> None:
        """Do nothing, as no block is read."""

    def read_block(self, row: int, offset: int, length: int) -> memoryview:
        """Raise an error, as no block is read.

        Raises:
            KeyError: Always.
        """
        raise KeyError(f"bytes {offset} to {offset + length} of row {row} were not prefetched")

    def release(self, row: int) -> None:
        """Do nothing, as no bytes are kept."""

    def close(self) -> None:
        """Close the file."""
        self.file.close()
