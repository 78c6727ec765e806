"""Detections as columns, in memory and in a shard's Parquet file."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

ROW_GROUP = 65536
_BOX = ("x_min", "y_min", "x_max", "y_max")
_SCHEMA = pa.schema(
    [
        *((name, pa.float64()) for name in _BOX),
        ("score", pa.float32()),
        ("label", pa.int16()),
        ("tile", pa.int64()),
        ("flags", pa.uint8()),
        ("outline", pa.binary()),
    ]
)


class Flag(enum.IntFlag):
    """What the merge still has to settle about a detection; 0: nothing."""

    PART = 1
    """It may be part of an object that no tile saw whole."""
    DOUBTFUL = 2
    """Its centre is so near a core's border that two tiles may both own it, or neither."""
    GUEST = 4
    """Its centre is in another tile's core; only ever together with DOUBTFUL or PART."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """What models saw, with what is known of it, one row each."""

    box: NDArray[np.float64]
    """(n, 4): x0, y0, x1, y1 in px of the scene; the envelope of the outline."""
    score: NDArray[np.float32]
    label: NDArray[np.int16]
    """Index into the model's classes."""
    tile: NDArray[np.int64]
    """The tile that owns the detection."""
    flags: NDArray[np.uint8]
    outline: NDArray[np.object_] | None = None
    """(n,) shapely Polygons or MultiPolygons in px of the scene; None: the boxes themselves."""

    @classmethod
    def of_tile(
        cls,
        box: NDArray[np.float64],
        score: NDArray[np.float32],
        label: NDArray[np.int16],
        tile: int,
        outline: NDArray[np.object_] | None = None,
    ) -> Self:
        """What one tile saw, nothing of it flagged."""
        count = len(box)
        tiles, flags = np.full(count, tile, np.int64), np.zeros(count, np.uint8)
        return cls(box, score, label, tiles, flags, outline)

    @classmethod
    def empty(cls) -> Self:
        """No detections."""
        return cls.of_tile(np.empty((0, 4)), np.empty(0, np.float32), np.empty(0, np.int16), 0)

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Self:
        """The rows of all parts, in their order."""
        parts = parts or [cls.empty()]
        return cls(
            np.concatenate([part.box for part in parts]),
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.label for part in parts]),
            np.concatenate([part.tile for part in parts]),
            np.concatenate([part.flags for part in parts]),
            _outlines(parts),
        )

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Detections:
        """Some of the rows: a mask, indices or a slice."""
        return Detections(
            self.box[rows],
            self.score[rows],
            self.label[rows],
            self.tile[rows],
            self.flags[rows],
            None if self.outline is None else self.outline[rows],
        )

    def ordered(self) -> Detections:
        """By tile, then best first; ties by place and class, so that nothing is left to chance."""
        keys = (self.label, *self.box.T[::-1], -self.score, self.tile)
        return self.take(np.lexsort(keys))

    def to_table(self) -> pa.Table:
        """As an Arrow table."""
        columns = [*self.box.T, self.score, self.label, self.tile, self.flags]
        outline = (
            pa.nulls(len(self), pa.binary())
            if self.outline is None
            else pa.array(shapely.to_wkb(self.outline), pa.binary())
        )
        arrays = [*(pa.array(np.ascontiguousarray(c)) for c in columns), outline]
        return pa.table(arrays, schema=_SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """From an Arrow table that `to_table` made."""
        outline = table["outline"]
        columns = {name: table[name].to_numpy() for name in _SCHEMA.names if name != "outline"}
        box = np.stack([columns.pop(name) for name in _BOX], axis=1)
        shapes = None if outline.null_count else shapely.from_wkb(outline.to_numpy())
        return cls(box, **columns, outline=shapes)


@dataclass(frozen=True, slots=True, eq=False)
class Seen:
    """What one tile of a scene shows."""

    detections: Detections
    """In px of the scene, within the tile's window, nothing of it flagged."""
    labels: NDArray[np.uint8] | None = None
    """(rows, cols) of the tile's core: each pixel's class, NO_LABEL where there is none; None where
    the model does not say."""


NO_LABEL = 255
"""In a mask: not valid, not seen, or below the threshold."""


def _outlines(parts: Sequence[Detections]) -> NDArray[np.object_] | None:
    """The outlines of all rows, if any has one that is not its box."""
    filled = [part for part in parts if len(part)]
    if all(part.outline is None for part in filled):
        return None
    return np.concatenate(
        [shapely.box(*part.box.T) if part.outline is None else part.outline for part in filled]
    )


class DetectionsWriter:
    """Writes a shard's Parquet file tile by tile; a tile's detections share one row group."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, _SCHEMA, compression="zstd")
        self._waiting: list[Detections] = []
        self._rows = 0
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
            self._flush()
        self._writer.close()

    def append(self, detections: Detections) -> None:
        """Add what whole tiles saw."""
        self._waiting.append(detections)
        self._rows += len(detections)
        self.count += len(detections)
        if self._rows >= ROW_GROUP:
            self._flush()

    def note(self, key: str, text: str) -> None:
        """Keep a text in the file's metadata."""
        self._writer.add_key_value_metadata({key: text})

    def _flush(self) -> None:
        if self._rows:
            self._writer.write_table(Detections.concatenate(self._waiting).to_table())
        self._waiting, self._rows = [], 0


def read_note(path: Path, key: str) -> str:
    """A text that `DetectionsWriter.note` kept."""
    return str(pq.read_metadata(path).metadata[key.encode()].decode())


def read_detections(path: Path, *, flagged: bool | None = None) -> Iterator[Detections]:
    """A shard's detections, one row group at a time.

    Args:
        path: the Parquet file.
        flagged: True for only those that the merge must settle, False for only the others.
    """
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            detections = Detections.from_table(file.read_row_group(group))
            if flagged is None:
                yield detections
            else:
                yield detections.take((detections.flags != 0) == flagged)
