"""Objects as columns: those that are known, and those that were found."""

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
    """Things in scenes, one row each."""

    scene: NDArray[np.int64]
    """(n,): the number of the scene that each is in."""
    label: NDArray[np.int64]
    """(n,): the number of its class."""
    box: NDArray[np.float64]
    """(n, 4): x0, y0, x1, y1 in px of the scene."""
    outline: NDArray[np.object_] | None = None
    """(n,) shapely Polygons or MultiPolygons in px of the scene; None: the boxes themselves."""

    def __len__(self) -> int:
        return len(self.label)

    @property
    def area(self) -> NDArray[np.float64]:
        """(n,) px²."""
        if self.outline is None:
            return boxes.area(self.box)
        return np.asarray(shapely.area(self.outline), np.float64)

    @property
    def bounds(self) -> NDArray[np.float64]:
        """(n, 4) px: around the outlines, which a file's boxes need not hold; else the boxes."""
        if self.outline is None:
            return self.box
        return np.asarray(shapely.bounds(self.outline), np.float64).reshape(-1, 4)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, one at least, in their order; all have outlines or none has."""
        names = [f.name for f in fields(cls) if getattr(parts[0], f.name) is not None]
        return cls(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})

    def take(self, rows: NDArray[np.bool_] | NDArray[np.int64]) -> Self:
        """Some of the rows: a mask or indices."""
        columns = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(
            self, **{name: value[rows] for name, value in columns.items() if value is not None}
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Truth(Objects):
    """Objects that are known to be there."""

    crowd: NDArray[np.bool_]
    """(n,): True where a row stands for an area whose detections count neither way."""
    size: NDArray[np.float64] | None = None
    """(n,): px², by which COCO's classes of size go; None: `area`."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found(Objects):
    """Objects that a model saw."""

    score: NDArray[np.float64]
    """(n,)."""

    def best_first(self) -> Found:
        """By score; ties by scene, then as they were given: the order that COCO takes them in."""
        return self.take(np.lexsort((self.scene, -self.score)))
