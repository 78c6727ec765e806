"""Compute the weights with which the pixels of an asset enter a pixel of the grid, axis by axis.

The weights are those of GDAL's warper (https://gdal.org/en/stable/programs/gdalwarp.html, option
-r), which users know: half-pixel centers, and a kernel that is widened by the ratio of the pixel
sizes where the asset is finer than the grid. All kernels are separable. The bicubic kernel is that
of Keys, "Cubic convolution interpolation for digital image processing" (1981), with a = -0.5.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from swath._types import Floats, Ints, Mask
    from swath.raster.assets.alignment import Alignment, Axis
    from swath.raster.assets.stack import Resampling

Kernel = Literal["nearest", "linear4", "cubic4", "linear", "cubic", "average"]
"""Kernels of one axis. Those with a 4 interpolate between 2 x 2 or 4 x 4 pixels of the asset, as
GDAL does where the asset is not finer than the grid; the others are widened."""
_MIN_UNFILTERED_SCALE = 0.95
"""Smallest number of grid px per asset px at which GDAL does not widen the kernel."""
EDGE_PX = 1e-10
"""Distance in px from an edge below which GDAL takes a position for the edge itself."""


@dataclass(frozen=True, slots=True, eq=False)
class Taps:
    """Pixels of an asset that enter each px of a part of the grid, along one axis."""

    first: Ints
    """First pixel of the asset, (n,); it and others may lie outside the asset."""
    weights: Floats
    """Weights (n, taps) of the pixels from `first` on; 0 outside the asset, and their sum is 1."""
    nearest: Ints
    """Pixel of the asset that contains the center of each px, (n,), clipped to the asset."""
    inside: Mask
    """Whether the asset has data for each px, (n,)."""
    interior: Mask
    """Whether all pixels that enter each px lie in the asset, (n,)."""
    period: tuple[int, int]
    """Numbers of grid px and of asset px after which the weights repeat; 0, 0 if they do not."""
    is_finer: bool
    """Whether a px of the grid is at most as large as a pixel of the asset."""

    @property
    def count(self) -> int:
        """Number of pixels of the asset that enter a px of the grid."""
        return int(self.weights.shape[1])


def choose_kernel(alignment: Alignment, resampling: Resampling) -> Kernel:
    """Return the kernel that GDAL's warper uses for a method and a ratio of pixel sizes."""
    if resampling == "nearest" or alignment.coincides:
        return "nearest"
    if resampling == "average":
        return "average"
    fine = all(1 / axis.scale >= _MIN_UNFILTERED_SCALE for axis in (alignment.x, alignment.y))
    if resampling == "bilinear":
        return "linear4" if fine else "linear"
    return "cubic4" if fine else "cubic"


def compute_taps(axis: Axis, kernel: Kernel, start: int, count: int) -> Taps:
    """Return the pixels of an asset that enter `count` px of the grid from `start` on.

    Args:
        axis: Alignment of the axis.
        kernel: Kernel of the resampling.
        start: First px of the grid.
        count: Number of px.
    """
    whole, rest = axis.split(start, count, 0.5)
    nearest = whole + (rest + EDGE_PX >= 1)
    inside = (whole >= 0) & (nearest < axis.size)
    if kernel == "average":
        first, weights, inside, complete = _average(axis, start, count)
    else:
        first, weights = _interpolate(axis, kernel, whole, rest)
        complete = first >= 0
    taps = first[:, None] + np.arange(weights.shape[1])
    kept = np.where((taps >= 0) & (taps < axis.size), weights, 0)
    total = kept.sum(axis=1, keepdims=True)
    return Taps(
        first=first,
        weights=kept / np.where(total == 0, 1, total),
        nearest=np.clip(nearest, 0, axis.size - 1),
        inside=inside,
        interior=complete & (taps[:, -1] < axis.size),
        period=axis.period,
        is_finer=axis.scale <= 1,
    )


def source_range(axis: Axis, kernel: Kernel, start: int, count: int) -> tuple[int, int]:
    """Return the first pixel of the asset, and the one after the last, that px of the grid need.

    Args:
        axis: Alignment of the axis.
        kernel: Kernel of the resampling.
        start: First px of the grid.
        count: Number of px.

    Returns:
        Range of pixels within the asset; it is empty if the asset has no data for these px.
    """
    ends = [compute_taps(axis, kernel, px, 1) for px in (start, start + count - 1)]
    low = min(int(ends[0].first[0]), int(ends[0].nearest[0]))
    high = max(int(ends[1].first[0]) + ends[1].count, int(ends[1].nearest[0]) + 1)
    if high <= 0 or low >= axis.size or not _meets(axis, start, count):
        return 0, 0
    return max(low, 0), min(high, axis.size)


def _meets(axis: Axis, start: int, count: int) -> bool:
    """Return whether an asset overlaps the px of a grid along an axis."""
    low, high = (px * axis.scale + axis.offset for px in (start, start + count))
    return high > 0 and low < axis.size


def _interpolate(axis: Axis, kernel: Kernel, whole: Ints, rest: Floats) -> tuple[Ints, Floats]:
    """Return the first taps (n,) and the weights (n, taps) of an interpolation.

    Args:
        axis: Alignment of the axis.
        kernel: Kernel of the resampling.
        whole: Pixel of the asset that contains the center of each px of the grid, (n,).
        rest: Position of the center within that pixel, (n,), from 0 to 1.
    """
    if kernel == "nearest":
        return whole + (rest + EDGE_PX >= 1), np.ones((len(whole), 1))
    left = np.where(rest < 0.5, whole - 1, whole)  # noqa: PLR2004 (half a pixel)
    delta = np.where(rest < 0.5, rest + 0.5, rest - 0.5)  # noqa: PLR2004
    radius = 2 if kernel.startswith("cubic") else 1
    widening = 1.0 if kernel.endswith("4") else max(1.0, axis.scale)
    reach = int(np.ceil(radius * widening))
    distance = (np.arange(1 - reach, reach + 1) - delta[:, None]) / widening
    return left + (1 - reach), (_cubic if radius > 1 else _linear)(np.abs(distance))


def _linear(distance: Floats) -> Floats:
    return np.maximum(0, 1 - distance)


def _cubic(distance: Floats) -> Floats:
    near = distance**2 * (1.5 * distance - 2.5) + 1
    far = distance**2 * (-0.5 * distance + 2.5) - 4 * distance + 2
    return np.where(distance <= 1, near, np.where(distance < 2, far, 0))  # noqa: PLR2004 (radius)


def _average(axis: Axis, start: int, count: int) -> tuple[Ints, Floats, Mask, Mask]:
    """Return the first taps (n,), the weights (n, taps), and two masks of px of the grid (n,).

    The masks are True where the asset has data, and where no pixel before its first one is missing.
    A pixel's weight is its overlap with the px of the grid. As in GDAL, the asset's first and last
    pixel are extended beyond its edges. Unlike in GDAL, the asset has no data for a px that only
    touches it.
    """
    whole, rest = axis.split(start, count + 1, 0.0)
    low, high = (whole[:-1], rest[:-1]), (whole[1:], rest[1:])
    first = np.maximum(low[0] + (low[1] + EDGE_PX >= 1), 0)
    end = np.minimum(high[0] + (high[1] > EDGE_PX), axis.size)
    end = np.maximum(end, first + 1)
    taps = first[:, None] + np.arange(int(np.ceil(axis.scale)) + 1)
    weights = np.where(taps < end[:, None], 1.0, 0.0)
    several = end > first + 1
    cut = np.where(several, (low[0] - first) + low[1], 0)
    weights[:, 0] -= cut
    last = np.arange(count), end - first - 1
    weights[last] -= np.where(several, (end - high[0]) - high[1], 0)
    edge = (low[0] + low[1], high[0] + high[1])
    inside = (edge[1] > EDGE_PX) & (edge[0] < axis.size - EDGE_PX)
    return first, np.maximum(weights, 0), inside, low[0] >= 0
