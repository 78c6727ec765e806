"""Define a crop, a square window of a labeled scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath._types import Mask
    from swath.labels.objects import Objects

NO_CLASS = 255
"""Value of a pixel without a class in a class map."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Crop:
    """A square window of a labeled scene."""

    uri: str
    """Address of the scene."""
    x: int
    """Column of the upper left corner in the scene, px; it may lie outside."""
    y: int
    """Row of the upper left corner in the scene, px; it may lie outside."""
    pixels: NDArray[Any]
    """Pixels before scaling, (bands, size, size)."""
    valid: Mask
    """Mask of the pixels, (size, size); True = valid.

    Pixels without a scene are not valid. With a class map, neither are pixels of unknown class.
    """
    objects: Objects
    """Labeled objects, in px of the crop."""
    labels: NDArray[np.uint8] | None
    """Class index of each pixel or NO_CLASS, (size, size); None without class maps."""
    valid_bands: Mask | None = None
    """Mask of each band, (bands, size, size); True = valid; None where `valid` holds for all
    bands."""

    @property
    def input_mask(self) -> Mask:
        """Mask of the pixels that a network receives, broadcastable to `pixels`; True = valid."""
        return self.valid if self.valid_bands is None else self.valid_bands & self.valid

    @property
    def size(self) -> int:
        """Side of the crop in px."""
        return len(self.valid)

    @property
    def boxes(self) -> NDArray[np.float64]:
        """Boxes of the objects, (n, 4): x_min, y_min, x_max, y_max in px of the crop."""
        return self.objects.boxes

    @property
    def classes(self) -> NDArray[np.int64]:
        """Class index of each object, (n,)."""
        return self.objects.classes

    @property
    def crowd(self) -> NDArray[np.bool_]:
        """Mask of the objects, (n,); True for a crowd region, which is ignored."""
        return self.objects.crowd

    @property
    def outlines(self) -> NDArray[Any] | None:
        """Outlines of the objects, (n,) of Polygons and MultiPolygons in px; None for boxes."""
        return self.objects.outlines
