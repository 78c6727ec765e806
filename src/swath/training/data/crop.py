"""A crop: a square window of a labelled scene."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from swath._types import Mask
    from swath.labels.objects import Objects

NOTHING = 255
"""In a class map: a pixel of no class."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Crop:
    """A square window of a scene."""

    uri: str
    x: int
    """Of its upper left corner in the scene, px; it may lie outside."""
    y: int
    pixels: NDArray[Any]
    """(bands, size, size) in the scenes' numbers."""
    valid: Mask
    """(size, size), True = valid; False where there is no scene, and where nobody knows the class
    of a pixel if there is a class map."""
    objects: Objects
    """In px of the crop."""
    labels: NDArray[np.uint8] | None
    """(size, size): each pixel's class or NOTHING; None where no class maps were asked for."""
    valid_bands: Mask | None = None
    """(bands, size, size), True = valid; None where all bands are valid where `valid` says so."""

    @property
    def shown(self) -> Mask:
        """What a network is shown, to be broadcast to `pixels`."""
        return self.valid if self.valid_bands is None else self.valid_bands & self.valid

    @property
    def size(self) -> int:
        """How many px there are along each side."""
        return len(self.valid)

    @property
    def boxes(self) -> NDArray[np.float64]:
        """(n, 4): x_min, y_min, x_max, y_max; px of the crop."""
        return self.objects.boxes

    @property
    def classes(self) -> NDArray[np.int64]:
        """(n,)."""
        return self.objects.classes

    @property
    def crowd(self) -> NDArray[np.bool_]:
        """(n,): True where a label counts neither way."""
        return self.objects.crowd

    @property
    def outlines(self) -> NDArray[Any] | None:
        """(n,) of shapely Polygons and MultiPolygons; None where there are only boxes."""
        return self.objects.outlines
