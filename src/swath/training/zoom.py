"""Crops made larger or smaller, by any factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.training.crop import NOTHING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.dataset import Mask


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
        low, high, weight, _ = self._axis()
        rows = _between(pixels, low, high, weight[:, None], axis=1)
        return _between(rows, low, high, weight, axis=2)

    def valid(self, valid: Mask) -> Mask:
        """Where all that a pixel was made of is valid and within the crop."""
        low, high, weight, inside = self._axis()
        high = np.where(weight > 0, high, low)
        rows = valid[low] & valid[high] & inside[:, None]
        shown: Mask = rows[:, low] & rows[:, high] & inside
        return shown

    def labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """The class of the nearest pixel."""
        low, high, weight, inside = self._axis()
        nearest = np.where(weight < 0.5, low, high)  # noqa: PLR2004 (halfway)
        shown = labels[nearest[:, None], nearest]
        shown[~(inside[:, None] & inside)] = NOTHING
        return shown

    def _axis(
        self,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32], NDArray[np.bool_]]:
        """Of each pixel: those before and after it, the weight of the latter; whether there are."""
        middle = self.start + (np.arange(self.size) + 0.5) / self.factor
        place = np.clip(middle - 0.5, 0, self.side - 1)
        low = np.minimum(place.astype(np.int64), self.side - 1)
        high = np.minimum(low + 1, self.side - 1)
        inside = (middle >= 0) & (middle <= self.side)
        return low, high, (place - low).astype(np.float32), inside


def _between(
    pixels: NDArray[Any],
    low: NDArray[np.int64],
    high: NDArray[np.int64],
    weight: NDArray[np.float32],
    *,
    axis: int,
) -> NDArray[np.float32]:
    first = np.take(pixels, low, axis=axis).astype(np.float32, copy=False)
    second = np.take(pixels, high, axis=axis).astype(np.float32, copy=False)
    second -= first
    second *= weight
    second += first
    return second
