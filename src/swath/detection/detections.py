"""Detections as columns."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

_BOX = ("x_min", "y_min", "x_max", "y_max")
SCHEMA = pa.schema(
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

    @property
    def corners(self) -> int:
        """How many positions the outlines have: what they weigh in memory; 0 of boxes."""
        return 0 if self.outline is None else int(shapely.get_num_coordinates(self.outline).sum())

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
    def concatenate(cls, parts: Sequence[Detections]) -> Detections:
        """The rows of all parts, in their order; one alone is not copied."""
        parts = parts or [cls.empty()]
        if len(parts) == 1:
            return parts[0]
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
        """By tile, then best first; ties by place, class and outline: nothing is left to chance."""
        keys = (self.label, *self.box.T[::-1], -self.score, self.tile)
        order = np.lexsort(keys)
        if self.outline is not None:
            alike = np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys])
            if alike.any():
                tied = order[np.append(alike, False) | np.insert(alike, 0, False)]
                order = np.lexsort((_ranks(self.outline, tied), *keys))
        return self.take(order)

    def to_table(self) -> pa.Table:
        """As an Arrow table."""
        columns = [*self.box.T, self.score, self.label, self.tile, self.flags]
        outline = (
            pa.nulls(len(self), pa.binary())
            if self.outline is None
            else pa.array(shapely.to_wkb(self.outline), pa.binary())
        )
        arrays = [*(pa.array(np.ascontiguousarray(c)) for c in columns), outline]
        return pa.table(arrays, schema=SCHEMA)

    @classmethod
    def from_table(cls, table: pa.Table) -> Self:
        """From an Arrow table that `to_table` made."""
        columns = {name: table[name].to_numpy() for name in SCHEMA.names if name != "outline"}
        box = np.stack([columns.pop(name) for name in _BOX], axis=1)
        if table["outline"].null_count == len(table):
            return cls(box, **columns)
        return cls(box, **columns, outline=shapely.from_wkb(table["outline"].to_numpy()))


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


def outlines_of(boxes: NDArray[np.float64]) -> NDArray[np.object_]:
    """Boxes (n, 4) as Polygons, from their first corner along x0: (x0, y0), (x0, y1), …."""
    x, y = boxes[:, [0, 0, 2, 2]], boxes[:, [1, 3, 3, 1]]
    return np.asarray(shapely.polygons(np.stack([x, y], axis=-1)), np.object_)


def _outlines(parts: Sequence[Detections]) -> NDArray[np.object_] | None:
    """The outlines of all rows, if any has one that is not its box."""
    filled = [part for part in parts if len(part)]
    if all(part.outline is None for part in filled):
        return None
    return np.concatenate(
        [outlines_of(part.box) if part.outline is None else part.outline for part in filled]
    )


def _ranks(outline: NDArray[np.object_], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """An order of some rows' outlines that depends on nothing but them; 0 for the other rows."""
    ranks = np.zeros(len(outline), np.int64)
    ranks[rows] = np.unique(shapely.to_wkb(outline[rows]), return_inverse=True)[1]
    return ranks
