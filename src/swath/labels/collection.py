"""Labelled scenes, whatever form their labels came in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelledScene:
    """One scene and the objects in it, in its pixels."""

    uri: str
    width: int
    height: int
    boxes: NDArray[np.float64]
    """(objects, 4): x_min, y_min, x_max, y_max; px, from the scene's upper left corner."""
    classes: NDArray[np.int64]
    """(objects,): places in `Collection.classes`."""
    outlines: NDArray[Any] | None
    """(objects,) of shapely Polygons and MultiPolygons in px; None where there are only boxes."""
    crowd: NDArray[np.bool_]
    """(objects,): True where a label stands for an area whose detections count neither way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """Labelled scenes of the same classes."""

    scenes: tuple[LabelledScene, ...]
    classes: tuple[str, ...]
    digest: str
    """SHA-256, hex, of the labels and the scenes' bytes: what a package says it was trained on."""
