"""Hold ground truth and detections as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Self

import numpy as np
import shapely

from swath.detection import boxes

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Objects:
    """Objects in scenes, one per row."""

    scene: NDArray[np.int64]
    """(n,): number of the object's scene."""
    label: NDArray[np.int64]
    """(n,): index of the object's class."""
    box: NDArray[np.float64]
    """(n, 4): x0, y0, x1, y1 in scene px."""
    outline: NDArray[np.object_] | None = None
    """(n,): shapely Polygons or MultiPolygons in scene px; None if the boxes are the outlines."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def area(self) -> NDArray[np.float64]:
        """(n,): area in px² of the outlines, or of the boxes without outlines."""
        if self.outline is None:
            return boxes.area(self.box)
        return np.asarray(shapely.area(self.outline), np.float64)

    @property
    def bounds(self) -> NDArray[np.float64]:
        """(n, 4): x0, y0, x1, y1 in scene px around the outlines, or the boxes without outlines.

        A label file's boxes need not contain its outlines.
        """
        if self.outline is None:
            return self.box
        return np.asarray(shapely.bounds(self.outline), np.float64).reshape(-1, 4)

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """Concatenate the rows of parts.

        Args:
            parts: At least one part; either all have outlines or none.
        """
        names = [f.name for f in fields(cls) if getattr(parts[0], f.name) is not None]
        return cls(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Return some of the rows.

        Args:
            rows: Mask or indices of rows.
        """
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{name: value[rows] for name, value in columns.items() if value is not None}
        )

    def scaled(self, scale: tuple[float, float]) -> Self:
        """Return the same objects in pixels of another size.

        Args:
            scale: Number of new px along x and along y in one px.
        """
        if scale == (1.0, 1.0):
            return self
        box, outline = boxes.scale_shapes(self.box, self.outline, scale)
        return replace(self, box=box, outline=outline)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class GroundTruth(Objects):
    """Ground truth."""

    crowd: NDArray[np.bool_]
    """(n,): True for a crowd, an area whose detections count as neither hits nor errors."""
    coco_area: NDArray[np.float64] | None = None
    """(n,): area in px² for COCO's object sizes; None to use `area`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Predictions(Objects):
    """Detections of a model."""

    score: NDArray[np.float64]
    """(n,): score, 0 to 1."""

    def best_first(self) -> Predictions:
        """Return the detections by descending score, which is COCO's order.

        Ties are ordered by scene, then by row.
        """
        return self.take(np.lexsort((self.scene, -self.score)))
