"""Apply the weights of both axes to the pixels of an asset.

The fastest of the libraries in the environment, OpenCV, takes a fifth to a third of the time for
bilinear weights (`make bench ARGS=stacks`). It has neither GDAL's kernels nor masks, and decoding
takes several times as long as either.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.raster.validity import Validity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Floats, Ints, Mask
    from swath.raster.assets.kernels import Taps

_MAX_STRIDED_PERIOD = 8
"""Largest period in grid px at which all px of a phase are computed together."""
_PART_BYTES = 256 << 10
"""Size in bytes of the parts in which sums are computed."""


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
        self._apply(values, (self.across.weights, self.down.weights), out)

    def _apply(
        self, values: NDArray[Any], weights: tuple[Floats, Floats], out: NDArray[Any]
    ) -> None:
        """Compute sums with given weights of both axes; see `weigh`."""
        across, down = (one.astype(out.dtype) for one in weights)
        # The order depends on the scale alone, so that it is the same in every window.
        if self.across.is_finer:
            middle = np.empty((len(values), values.shape[1], out.shape[2]), out.dtype)
            _weigh_rows(_turn(values), self.across, across, self.left, _turn(middle))
            _weigh_rows(middle, self.down, down, self.top, out)
        else:
            middle = np.empty((len(values), out.shape[1], values.shape[2]), out.dtype)
            _weigh_rows(values, self.down, down, self.top, middle)
            _weigh_rows(_turn(middle), self.across, across, self.left, _turn(out))

    def meets_any(self, mask: Mask, *, weighted: bool = False) -> Mask:
        """Return which px of the window any pixel of a mask enters.

        Args:
            mask: Mask (layers, rows, cols) of the asset.
            weighted: Whether pixels with a weight of 0 do not count.

        Returns:
            Mask (layers, rows, cols) of the window.
        """
        across, down = (
            np.abs(taps.weights) if weighted else np.ones_like(taps.weights)
            for taps in (self.across, self.down)
        )
        counts = np.empty((len(mask), len(down), len(across)), np.float32)
        self._apply(mask.astype(np.float32), (across, down), counts)
        return np.asarray(counts > 0)

    def find_box(self, mask: Mask) -> tuple[range, range]:
        """Return the smallest box of the window outside which no pixel of a mask enters.

        Args:
            mask: Mask (rows, cols) of the asset.

        Returns:
            Rows and columns of the window; they are empty if no pixel of the mask enters.
        """
        return (
            _find_range(self.down, np.asarray(mask.any(axis=1)), self.top),
            _find_range(self.across, np.asarray(mask.any(axis=0)), self.left),
        )

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


def _find_range(taps: Taps, mask: Mask, start: int) -> range:
    """Return the px, from the first to the last, that any pixel of a mask from `start` on enters.

    Pixels with a weight of 0 count, as does the nearest pixel.
    """
    (known,) = np.nonzero(mask)
    if not len(known):
        return range(0)
    low, high = (int(known[i]) + start for i in (0, -1))
    enters = (taps.first <= high) & (taps.first + taps.count > low)
    (px,) = np.nonzero(enters | ((taps.nearest >= low) & (taps.nearest <= high)))
    return range(int(px[0]), int(px[-1]) + 1) if len(px) else range(0)


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
    for phase in range(low, low + step):
        target, first = out[:, phase:high:step], int(taps.first[phase]) - start
        last = first + jump * (target.shape[1] - 1) + 1
        (used,) = np.nonzero(weights[phase])
        rows = [values[:, first + tap : last + tap : jump] for tap in used.tolist()]
        _sum_rows(rows, weights[phase, used], target)


def _sum_rows(rows: Sequence[NDArray[Any]], weights: NDArray[Any], out: NDArray[Any]) -> None:
    """Compute the weighted sum of arrays, in parts that fit in the processor's cache.

    Args:
        rows: Arrays (layers, rows, cols), at least one.
        weights: Weight of each array.
        out: Array (layers, rows, cols) that receives the sum; it is written once.
    """
    axis = 1 if out.strides[1] > out.strides[2] else 2
    step = max(1, _PART_BYTES * out.shape[axis] // max(1, out.nbytes))
    part: list[slice] = [slice(None)] * 3
    for start in range(0, out.shape[axis], step):
        part[axis] = slice(start, start + step)
        target = out[*part]
        if len(rows) == 1:
            np.multiply(rows[0][*part], weights[0], out=target)
            continue
        total, product = np.empty_like(target), np.empty_like(target)
        np.multiply(rows[0][*part], weights[0], out=total)
        for index in range(1, len(rows)):
            np.multiply(rows[index][*part], weights[index], out=product)
            np.add(total, product, out=target if index == len(rows) - 1 else total)


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
