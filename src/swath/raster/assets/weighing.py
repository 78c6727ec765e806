"""Apply the weights of both axes to the pixels of an asset.

The fastest of the libraries in the environment, OpenCV, takes a fifth to a third of the time for
bilinear weights (`make bench ARGS=stacks`). It has neither GDAL's kernels nor masks, and decoding
takes several times as long as either.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.raster.validity import Validity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints, Mask
    from swath.raster.assets.kernels import Taps

_MAX_STRIDED_PERIOD = 8
"""Largest period in grid px at which all px of a phase are computed together."""


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """Weights of the pixels of an asset in a window of the grid."""

    across: Taps
    down: Taps
    left: int
    """First column of the asset that was read."""
    top: int
    """First row of the asset that was read."""

    @property
    def is_interior(self) -> bool:
        """Whether the asset has all pixels that enter the window."""
        return bool(self.across.interior.all() and self.down.interior.all())

    @property
    def interior(self) -> Mask:
        """Mask (rows, cols) of the px of the window whose pixels the asset all has."""
        return self.down.interior[:, None] & self.across.interior

    def weigh(self, values: NDArray[Any], out: NDArray[Any]) -> None:
        """Compute the weighted sums of pixels.

        Args:
            values: Pixels (layers, rows, cols) of the asset, in the dtype of `out`.
            out: Array (layers, rows, cols) that receives the sums.
        """
        weights = [taps.weights.astype(out.dtype) for taps in (self.across, self.down)]
        layers, rows, cols = len(values), *out.shape[1:]
        # The order depends on the scale alone, so that it is the same in every window.
        if self.across.is_finer:
            middle = np.empty((layers, values.shape[1], cols), out.dtype)
            _weigh_rows(_turn(values), self.across, weights[0], self.left, _turn(middle))
            _weigh_rows(middle, self.down, weights[1], self.top, out)
        else:
            middle = np.empty((layers, rows, values.shape[2]), out.dtype)
            _weigh_rows(values, self.down, weights[1], self.top, middle)
            _weigh_rows(_turn(middle), self.across, weights[0], self.left, _turn(out))

    def meets_any(self, mask: Mask, *, weighted: bool = False) -> Mask:
        """Return which px of the window any pixel of a mask enters.

        Args:
            mask: Mask (layers, rows, cols) of the asset.
            weighted: Whether pixels with a weight of 0 do not count.

        Returns:
            Mask (layers, rows, cols) of the window.
        """
        middle = _any_in_rows(mask, self.down, self.top, weighted=weighted)
        return _turn(_any_in_rows(_turn(middle), self.across, self.left, weighted=weighted))

    def copy_nearest(self, pixels: NDArray[Any], out: NDArray[Any]) -> None:
        """Copy the nearest pixel (layers, rows, cols) of the asset to each px of the window."""
        out[...] = self.nearest(pixels)

    def nearest(self, array: NDArray[Any] | None) -> Any:
        """Return the nearest value of the asset for each px of the window; None for None.

        Args:
            array: Values (rows, cols) or (layers, rows, cols) of the asset.
        """
        if array is None:
            return None
        rows = _as_index(self.down.nearest - self.top)
        cols = _as_index(self.across.nearest - self.left)
        return array[..., rows, :][..., cols]

    def clip_to_asset(self, valid: Validity, out: NDArray[Any] | None) -> Validity:
        """Return the validity without what lies outside the asset, where pixels become 0.

        Args:
            valid: Validity of the pixels of the window.
            out: Pixels (layers, rows, cols) of the window; None if only the validity is wanted.
        """
        down, across = self.down.inside, self.across.inside
        if down.all() and across.all():
            return valid
        if out is not None:
            out[:, ~down] = 0
            out[:, :, ~across] = 0
        inside = down[:, None] & across
        return Validity(
            inside if valid.pixels is None else valid.pixels & inside,
            None if valid.bands is None else valid.bands & inside,
        )


def _turn(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view (layers, cols, rows) of an array (layers, rows, cols)."""
    return array.swapaxes(1, 2)


def _as_index(index: Ints) -> slice | Ints:
    """Return a slice for consecutive numbers, which need no copy."""
    first, count = int(index[0]), len(index)
    consecutive = first >= 0 and (np.diff(index) == 1).all()
    return slice(first, first + count) if consecutive else np.maximum(index, 0)


def _weigh_rows(
    values: NDArray[Any], taps: Taps, weights: NDArray[Any], start: int, out: NDArray[Any]
) -> None:
    """Compute weighted sums of rows.

    Args:
        values: Rows (layers, rows, cols) of the asset.
        taps: Rows that enter each row of the result.
        weights: Weights (rows of the result, taps), in the dtype of `values`.
        start: Number of the first row of `values` in the asset.
        out: Array (layers, rows, cols) that receives the sums.
    """
    step, jump = taps.period
    (inner,) = np.nonzero(taps.interior)
    low, high = (int(inner[0]), int(inner[-1]) + 1) if len(inner) else (0, 0)
    if not 0 < step <= _MAX_STRIDED_PERIOD or high - low < 2 * step:
        _weigh_each(values, taps, weights, start, slice(0, len(weights)), out)
        return
    for edge in (slice(0, low), slice(high, len(weights))):
        if edge.start < edge.stop:
            _weigh_each(values, taps, weights, start, edge, out)
    buffer = np.empty((len(out), -(-(high - low) // step), out.shape[2]), out.dtype)
    for phase in range(low, low + step):
        target = out[:, phase:high:step]
        first = int(taps.first[phase]) - start
        _sum_strided(values, first, jump, weights[phase], target, buffer[:, : target.shape[1]])


def _sum_strided(
    values: NDArray[Any],
    first: int,
    jump: int,
    weights: NDArray[Any],
    out: NDArray[Any],
    buffer: NDArray[Any],
) -> None:
    """Compute the sums of all rows of one phase, which have the same weights.

    Args:
        values: Rows (layers, rows, cols) of the asset.
        first: Index of the first row that enters the first sum.
        jump: Distance in rows from one sum to the next.
        weights: Weights (taps,) of the rows from the first on.
        out: Array (layers, sums, cols) that receives the sums.
        buffer: Array of the same shape.
    """
    last = jump * (out.shape[1] - 1) + 1
    (used,) = np.nonzero(weights)
    target = out
    for tap in used.tolist() or [0]:
        rows = values[:, first + tap : first + tap + last : jump]
        np.multiply(rows, weights[tap], out=target)
        if target is buffer:
            out += buffer
        target = buffer


def _weigh_each(
    values: NDArray[Any],
    taps: Taps,
    weights: NDArray[Any],
    start: int,
    part: slice,
    out: NDArray[Any],
) -> None:
    """Compute weighted sums of rows whose weights differ; see `_weigh_rows`.

    Args:
        values: Rows (layers, rows, cols) of the asset.
        taps: Rows that enter each row of the result.
        weights: Weights (rows of the result, taps).
        start: Number of the first row of `values` in the asset.
        part: Rows of the result to compute.
        out: Array (layers, rows, cols) that receives the sums.
    """
    target = out[:, part]
    for tap in range(taps.count):
        index = np.clip(taps.first[part] + (tap - start), 0, values.shape[1] - 1)
        rows = values[:, index] * weights[part, tap, None]
        if tap:
            target += rows
        else:
            target[...] = rows


def _any_in_rows(mask: Mask, taps: Taps, start: int, *, weighted: bool) -> Mask:
    """Return where any row of a mask (layers, rows, cols) enters a row of the result."""
    found = np.zeros((len(mask), len(taps.first), mask.shape[2]), np.bool_)
    for tap in range(taps.count):
        index = taps.first + tap
        counts = (index >= start) & (index < start + mask.shape[1])
        if weighted:
            counts &= taps.weights[:, tap] != 0
        found |= mask[:, np.clip(index - start, 0, mask.shape[1] - 1)] & counts[:, None]
    return found
