"""Crops made larger or smaller, by any factor."""

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
    """A square of a crop's middle, shown in another number of pixels.

    Out of pixel `i` the middle lies at `start + (i + 0.5) / factor` of the crop.
    """

    side: int
    """Of the crop, px."""
    size: int
    """Of what becomes of it, px."""
    factor: float

    @property
    def start(self) -> float:
        """Where in the crop the square begins, along both axes; px."""
        return (self.side - self.size / self.factor) / 2

    def points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Where positions come to lie."""
        return (points - self.start) * self.factor

    def pixels(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Pixels between those there are, linearly: float32 (bands, size, size)."""
        middles = self._middles
        first = max(0, int(middles[0]) - 1)
        used = slice(first, max(first + 1, int(middles[-1]) + 2))
        shown = pixels[:, used, used].astype(np.float32)
        return bilinear(shown, middles - first, middles - first)

    def valid(self, valid: Mask) -> Mask:
        """Where all that a pixel was made of is valid and within the crop; bands may come first."""
        place = np.clip(self._middles - 0.5, 0, self.side - 1)
        low, high = np.floor(place).astype(np.int64), np.ceil(place).astype(np.int64)
        inside = self._inside
        rows = valid[..., low, :] & valid[..., high, :] & inside[:, None]
        shown: Mask = rows[..., low] & rows[..., high] & inside
        return shown

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class of the nearest pixel."""
        nearest = np.clip(self._middles.astype(np.int64), 0, self.side - 1)
        shown = labels[nearest[:, None], nearest]
        shown[~(self._inside[:, None] & self._inside)] = NOTHING
        return shown

    @property
    def _middles(self) -> NDArray[np.float64]:
        """Where in the crop the middles of the pixels lie, along both axes."""
        return np.asarray(self.start + (np.arange(self.size) + 0.5) / self.factor)

    @property
    def _inside(self) -> NDArray[np.bool_]:
        """Which of them do lie in it."""
        return np.asarray((self._middles >= 0) & (self._middles < self.side))
