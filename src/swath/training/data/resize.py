"""Resize crops by any factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.detection.decode.resample import bilinear
from swath.training.data.crop import NOTHING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Zoom:
    """A resampling of the middle of a crop to another number of pixels.

    The center of output pixel `i` lies at `start + (i + 0.5) / factor` in the crop.
    """

    side: int
    """Side of the crop in px."""
    size: int
    """Side of the output in px."""
    factor: float
    """Zoom factor; above 1, objects become larger."""

    @property
    def start(self) -> float:
        """Start of the resampled square in the crop, along both axes, in px."""
        return (self.side - self.size / self.factor) / 2

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (n, 2) of the crop in px of the output."""
        return (points - self.start) * self.factor

    def pixels(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the bilinearly resampled pixels, float32 (bands, size, size).

        Args:
            pixels: Pixels of the crop, (bands, side, side).
        """
        middles = self._middles
        first = max(0, int(middles[0]) - 1)
        used = slice(first, max(first + 1, int(middles[-1]) + 2))
        shown = pixels[:, used, used].astype(np.float32)
        return bilinear(shown, middles - first, middles - first)

    def valid(self, valid: Mask) -> Mask:
        """Return the mask of output pixels whose source pixels are all valid and within the crop.

        Args:
            valid: Mask of the crop, (side, side) or (bands, side, side); True = valid.

        Returns:
            Mask of the output, (size, size) or (bands, size, size).
        """
        place = np.clip(self._middles - 0.5, 0, self.side - 1)
        low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
        inside = self._inside
        rows = valid[..., low, :] & valid[..., high, :] & inside[:, None]
        shown: Mask = rows[..., low] & rows[..., high] & inside
        return shown

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the class map of the output, uint8 (size, size), by the nearest pixel.

        Args:
            labels: Class map of the crop, (side, side).
        """
        nearest = np.clip(self._middles.astype(np.int64), 0, self.side - 1)
        shown = labels[nearest[:, None], nearest]
        shown[~(self._inside[:, None] & self._inside)] = NOTHING
        return shown

    @property
    def _middles(self) -> NDArray[np.float64]:
        """Centers of the output pixels in the crop along either axis, (size,), in px."""
        return np.asarray(self.start + (np.arange(self.size) + 0.5) / self.factor)

    @property
    def _inside(self) -> NDArray[np.bool_]:
        """Mask of the output pixels whose centers lie in the crop along either axis, (size,)."""
        return np.asarray((self._middles >= 0) & (self._middles < self.side))
