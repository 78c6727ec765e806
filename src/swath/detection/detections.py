"""Store detections as columns, with one row for each detection."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import pyarrow as pa
import shapely

from swath.detection.boxes import scale_shapes

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
    """Open decisions of the stitching about a detection; 0 if the detection is final."""

    TRUNCATED = 1
    """The detection may be part of an object that no tile holds whole."""
    AMBIGUOUS = 2
    """The center is so near a core's border that two tiles may both own the detection, or none."""
    NOT_OWNED = 4
    """The center is in another tile's core; always combined with DOUBTFUL or PART."""


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Detections of tiles, one row each."""

    box: NDArray[np.float64]
    """(n, 4) boxes x0, y0, x1, y1 in px of the scene; the envelopes of the outlines."""
    score: NDArray[np.float32]
    """(n,) scores, 0 to 1."""
    label: NDArray[np.int16]
    """(n,) indices into the model's classes."""
    tile: NDArray[np.int64]
    """(n,) numbers of the tiles that report the detections."""
    flags: NDArray[np.uint8]
    """(n,) combinations of `Flag`; 0 if the detection is final."""
    outline: NDArray[np.object_] | None = None
    """(n,) shapely Polygons or MultiPolygons in px of the scene; None: the boxes themselves."""

    @property
    def vertex_count(self) -> int:
        """Number of vertices of all outlines, which sets their memory; 0 for boxes."""
        return 0 if self.outline is None else int(shapely.get_num_coordinates(self.outline).sum())

    @classmethod
    def from_tile(
        cls,
        box: NDArray[np.float64],
        score: NDArray[np.float32],
        label: NDArray[np.int16],
        tile: int,
        outline: NDArray[np.object_] | None = None,
    ) -> Self:
        """Return the detections of one tile, without flags.

        Args:
            box: (n, 4) boxes x0, y0, x1, y1 in px.
            score: (n,) scores, 0 to 1.
            label: (n,) indices into the model's classes.
            tile: Number of the tile.
            outline: (n,) shapely Polygons or MultiPolygons; None for boxes alone.
        """
        count = len(box)
        tiles, flags = np.full(count, tile, np.int64), np.zeros(count, np.uint8)
        return cls(box, score, label, tiles, flags, outline)

    @classmethod
    def empty(cls) -> Self:
        """Return no detections, as columns of 0 rows."""
        return cls.from_tile(np.empty((0, 4)), np.empty(0, np.float32), np.empty(0, np.int16), 0)

    @classmethod
    def concatenate(cls, parts: Sequence[Detections]) -> Detections:
        """Return the rows of all parts, in their order; a single part is returned uncopied."""
        parts = parts or [cls.empty()]
        if len(parts) == 1:
            return parts[0]
        return cls(
            np.concatenate([part.box for part in parts]),
            np.concatenate([part.score for part in parts]),
            np.concatenate([part.label for part in parts]),
            np.concatenate([part.tile for part in parts]),
            np.concatenate([part.flags for part in parts]),
            _concatenate_outlines(parts),
        )

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64] | slice) -> Detections:
        """Return the rows that a mask, indices or a slice select."""
        return Detections(
            self.box[rows],
            self.score[rows],
            self.label[rows],
            self.tile[rows],
            self.flags[rows],
            None if self.outline is None else self.outline[rows],
        )

    def sorted_by_tile(self) -> Detections:
        """Return the rows by tile, then best first; ties by box, class and outline.

        The order is deterministic: it does not depend on the previous order of the rows.
        """
        keys = (self.label, *self.box.T[::-1], -self.score, self.tile)
        order = np.lexsort(keys)
        if self.outline is not None:
            is_tied = np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys])
            if is_tied.any():
                tied = order[np.append(is_tied, False) | np.insert(is_tied, 0, False)]
                order = np.lexsort((_rank_outlines(self.outline, tied), *keys))
        return self.take(order)

    def scaled(self, scale: tuple[float, float]) -> Detections:
        """Return the same detections in pixels of another size.

        Args:
            scale: Number of new px along x and along y in one px of `box` and `outline`.
        """
        if scale == (1.0, 1.0):
            return self
        box, outline = scale_shapes(self.box, self.outline, scale)
        return replace(self, box=box, outline=outline)

    def to_table(self) -> pa.Table:
        """Return the detections as an Arrow table of `SCHEMA`, outlines as WKB."""
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
        """Return the detections of an Arrow table that `to_table` made."""
        columns = {name: table[name].to_numpy() for name in SCHEMA.names if name != "outline"}
        box = np.stack([columns.pop(name) for name in _BOX], axis=1)
        if table["outline"].null_count == len(table):
            return cls(box, **columns)
        return cls(box, **columns, outline=shapely.from_wkb(table["outline"].to_numpy()))


@dataclass(frozen=True, slots=True, eq=False)
class TileResult:
    """Detections and labels of one tile."""

    detections: Detections
    """Detections within the tile's window, in px of the scene, without flags."""
    labels: NDArray[np.uint8] | None = None
    """(rows, cols) class of each pixel of the tile's core, NO_LABEL for none; None for models
    without a mask."""


NO_LABEL = 255
"""Label of a pixel that is not valid, is background, is below the threshold, or lies in a tile that
failed."""


def boxes_to_polygons(boxes: NDArray[np.float64]) -> NDArray[np.object_]:
    """Return boxes (n, 4) as Polygons with the vertices (x0, y0), (x0, y1), (x1, y1), (x1, y0)."""
    x, y = boxes[:, [0, 0, 2, 2]], boxes[:, [1, 3, 3, 1]]
    return np.asarray(shapely.polygons(np.stack([x, y], axis=-1)), np.object_)


def _concatenate_outlines(parts: Sequence[Detections]) -> NDArray[np.object_] | None:
    """Return the outlines of all rows; None if no part has outlines."""
    filled = [part for part in parts if len(part)]
    if all(part.outline is None for part in filled):
        return None
    return np.concatenate(
        [boxes_to_polygons(part.box) if part.outline is None else part.outline for part in filled]
    )


def _rank_outlines(outline: NDArray[np.object_], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rank of some rows' outlines by their WKB; 0 for the other rows."""
    ranks = np.zeros(len(outline), np.int64)
    ranks[rows] = np.unique(shapely.to_wkb(outline[rows]), return_inverse=True)[1]
    return ranks
