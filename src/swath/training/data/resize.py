"""Resize crops by any factor."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.detection.decode.resample import bilinear
from swath.training.data.crop import NO_CLASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Zoom:
    """A resampling of the middle of a crop to another number of pixels.

    The center of output pixel `i` lies at `start + (i + 0.5) / factor` in the crop.
    """

    source_size: int
    """Side of the crop in px."""
    output_size: int
    """Side of the output in px."""
    factor: float
    """Zoom factor; above 1, objects become larger."""

    @property
    def start(self) -> float:
        """Start of the resampled square in the crop, along both axes, in px."""
        return (self.source_size - self.output_size / self.factor) / 2

    def transform_points(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return points (n, 2) of the crop in px of the output."""
        return (points - self.start) * self.factor

    def resample_pixels(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return the bilinearly resampled pixels, float32 (bands, output_size, output_size).

        Args:
            pixels: Pixels of the crop, (bands, source_size, source_size).
        """
        centers = self._centers
        first = max(0, int(centers[0]) - 1)
        used = slice(first, max(first + 1, int(centers[-1]) + 2))
        window = pixels[:, used, used].astype(np.float32)
        return bilinear(window, centers - first, centers - first)

    def resample_mask(self, valid: Mask) -> Mask:
        """Return the mask of output pixels whose source pixels are all valid and within the crop.

        Args:
            valid: Mask of the crop, ([bands,] source_size, source_size); True = valid.

        Returns:
            Mask of the output, ([bands,] output_size, output_size).
        """
        position = np.clip(self._centers - 0.5, 0, self.source_size - 1)
        low, high = np.floor(position).astype(np.int64), np.ceil(position).astype(np.int64)
        is_inside = self._is_inside
        rows = valid[..., low, :] & valid[..., high, :] & is_inside[:, None]
        mask: Mask = rows[..., low] & rows[..., high] & is_inside
        return mask

    def resample_labels(self, labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the class map of the output, (output_size, output_size), by the nearest pixel.

        Args:
            labels: Class map of the crop, (source_size, source_size).
        """
        nearest = np.clip(self._centers.astype(np.int64), 0, self.source_size - 1)
        resampled = labels[nearest[:, None], nearest]
        resampled[~(self._is_inside[:, None] & self._is_inside)] = NO_CLASS
        return resampled

    @property
    def _centers(self) -> NDArray[np.float64]:
        """Centers of the output pixels in the crop along either axis, (output_size,), in px."""
        return np.asarray(self.start + (np.arange(self.output_size) + 0.5) / self.factor)

    @property
    def _is_inside(self) -> NDArray[np.bool_]:
        """Mask of the output pixels whose centers lie in the crop along an axis, (output_size,)."""
        return np.asarray((self._centers >= 0) & (self._centers < self.source_size))
