"""Resample the pixels of an asset to a window of the grid, exactly as GDAL's warper.

Values differ from those of `rasterio.vrt.WarpedVRT` (tolerance 0, float32, constant scale) by 1e-6
at most. Invalid pixels of the asset are left out, and the weights of the others are normalized.
Validity is never interpolated: a px of the grid is valid where the nearest pixel of the asset is;
with `average`, where any pixel that it overlaps is.

WarpedVRT takes several times as long (`make bench ARGS=stacks`). Its pixels depend on the window
that is read, as it derives the scale from the window. Here a px of the grid has bitwise the same
value in every window: it is a sum in a fixed order, whose weights depend on its position only.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.raster.assets.kernels import Kernel, choose_kernel, compute_taps, source_range
from swath.raster.assets.weighing import Part
from swath.raster.validity import Validity

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Mask
    from swath.raster.assets.alignment import Alignment
    from swath.raster.assets.stack import Resampling
    from swath.raster.scene_info import PixelWindow

_MIN_WEIGHT = 1e-6
"""Weight of the valid pixels, as a share of that of all, below which a pixel is invalid, as in
GDAL."""
_MAX_BOX_SHARE = 0.7
"""Largest share of a window in the box that gaps enter at which only the box is treated so."""
# The same columns and rows of tiles recur.
_cached_taps = lru_cache(maxsize=512)(compute_taps)
_cached_range = lru_cache(maxsize=4096)(source_range)


@dataclass(frozen=True, slots=True)
class Resampler:
    """Resampling of one asset to the grid."""

    alignment: Alignment
    kernel: Kernel

    @classmethod
    def from_method(cls, alignment: Alignment, resampling: Resampling) -> Resampler:
        """Create the resampling of an asset by a method."""
        return cls(alignment, choose_kernel(alignment, resampling))

    @property
    def interpolates(self) -> bool:
        """Whether pixels have other values than those of the asset."""
        return self.kernel != "nearest"

    def source_window(self, window: PixelWindow) -> PixelWindow | None:
        """Return the window of the asset that a window of the grid needs.

        Args:
            window: Window (x, y, width, height) in grid px.

        Returns:
            Window in asset px, within the asset; None if the asset has no data there.
        """
        x, y, width, height = window
        left, right = _cached_range(self.alignment.x, self.kernel, x, width)
        top, bottom = _cached_range(self.alignment.y, self.kernel, y, height)
        if left == right or top == bottom:
            return None
        return left, top, right - left, bottom - top

    def resample(
        self, pixels: NDArray[Any], valid: Validity, window: PixelWindow, out: NDArray[Any]
    ) -> Validity:
        """Resample the pixels of an asset to a window of the grid.

        Args:
            pixels: Pixels (bands, rows, cols) of `source_window(window)`, which is not None.
            valid: Validity of these pixels.
            window: Window (x, y, width, height) in grid px.
            out: Array (bands, rows, cols) that receives the pixels, and 0 outside the asset. If
                they are interpolated, its dtype is float32 or float64.

        Returns:
            Validity of the resampled pixels.
        """
        part = self._part(window)
        if not self.interpolates:
            part.copy_nearest(pixels, out)
            known = Validity(part.nearest(valid.pixels), part.nearest(valid.bands))
        elif valid.input_mask is None:
            self._interpolate(pixels.astype(out.dtype), part, window, out)
            known = Validity()
        else:
            known = self._interpolate_around_gaps(pixels, valid, window, out)
        return part.clip_to_asset(known, out)

    def resample_mask(self, mask: Mask | None, window: PixelWindow) -> Mask | None:
        """Return where a window of the grid is valid, (rows, cols); None if it is everywhere.

        Args:
            mask: Mask (rows, cols) of `source_window(window)`, True = valid; None if it all is.
            window: Window (x, y, width, height) in grid px.
        """
        part = self._part(window)
        if self.kernel == "average":
            known = self._overlaps_valid(mask, window)
        else:
            known = part.nearest(mask)
        return part.clip_to_asset(Validity(known), None).pixels

    def _part(self, window: PixelWindow, kernel: Kernel | None = None) -> Part:
        """Return the weights for a window in grid px."""
        left, top, _, _ = self.source_window(window) or (0, 0, 0, 0)
        x, y, width, height = window
        across = _cached_taps(self.alignment.x, kernel or self.kernel, x, width)
        down = _cached_taps(self.alignment.y, kernel or self.kernel, y, height)
        return Part(across, down, left, top)

    def _interpolate(
        self, values: NDArray[Any], part: Part, window: PixelWindow, out: NDArray[Any]
    ) -> None:
        """Interpolate between pixels that are all valid."""
        part.weigh(values, out)
        if self.kernel == "cubic4" and not part.is_interior:
            # GDAL interpolates between 2 x 2 pixels where the asset does not have all 4 x 4.
            linear = np.empty_like(out)
            self._part(window, "linear4").weigh(values, linear)
            np.copyto(out, linear, where=~part.interior)

    def _interpolate_around_gaps(
        self, pixels: NDArray[Any], valid: Validity, window: PixelWindow, out: NDArray[Any]
    ) -> Validity:
        """Interpolate, with the weights of the valid pixels only in the box that gaps enter.

        These weights cost several times as much, and many windows only touch the edge of a gap.
        """
        part = self._part(window)
        mask = _with_layers(valid.input_mask)
        rows, cols = part.find_box(np.asarray(~mask.all(axis=0)))
        if len(rows) * len(cols) > _MAX_BOX_SHARE * window[2] * window[3]:
            return self._interpolate_valid(pixels, valid, window, out)
        self._interpolate(np.where(mask, pixels, 0).astype(out.dtype), part, window, out)
        box = window[0] + cols.start, window[1] + rows.start, len(cols), len(rows)
        source = self.source_window(box) if rows and cols else None
        if source is None:  # no gap enters a px that lies in the asset
            return Validity()
        left, top = source[0] - part.left, source[1] - part.top
        needed = slice(top, top + source[3]), slice(left, left + source[2])
        inner = slice(rows.start, rows.stop), slice(cols.start, cols.stop)
        known = self._interpolate_valid(
            pixels[:, *needed], valid.crop(*needed), box, out[:, *inner]
        )
        return known.paste(*inner, (window[3], window[2]))

    def _interpolate_valid(
        self, pixels: NDArray[Any], valid: Validity, window: PixelWindow, out: NDArray[Any]
    ) -> Validity:
        """Interpolate between the valid pixels only, and return the validity of the result."""
        mask = _with_layers(valid.input_mask)
        values = np.where(mask, pixels, 0).astype(out.dtype)
        kernels: list[Kernel] = ["linear4", "cubic4"] if self.kernel == "cubic4" else [self.kernel]
        known = self._fill_gaps(values, mask, self._part(window, kernels[0]), out)
        if len(kernels) > 1:
            part = self._part(window, kernels[1])
            cubic = np.empty_like(out)
            part.weigh(values, cubic)
            np.copyto(out, cubic, where=part.interior & ~part.meets_any(~mask))
        if self.kernel == "average":
            bands = known
            pixel_mask = self._overlaps_valid(valid.pixels, window)
        else:
            nearest = self._part(window).nearest
            pixel_mask, bands = nearest(valid.pixels), known & _with_layers(nearest(mask))
        np.multiply(out, bands, out=out)
        if valid.bands is None and len(bands) == 1:
            return Validity(bands[0])
        return Validity(pixel_mask, np.broadcast_to(bands, out.shape))

    def _fill_gaps(self, values: NDArray[Any], mask: Mask, part: Part, out: NDArray[Any]) -> Mask:
        """Interpolate with the weights of the valid pixels, and return where these suffice.

        A result without an invalid pixel is bitwise that of `_interpolate`.
        """
        part.weigh(values, out)
        share = np.empty((len(mask), *out.shape[1:]), out.dtype)
        part.weigh(mask.astype(out.dtype), share)
        complete = ~part.meets_any(~mask, weighted=True)
        suffices = share > (0 if self.kernel == "average" else _MIN_WEIGHT)
        # An array of divisors takes a tenth of the time of the argument `where`.
        np.divide(out, np.where(~complete & suffices, share, out.dtype.type(1)), out=out)
        return np.asarray(suffices | complete)

    def _overlaps_valid(self, mask: Mask | None, window: PixelWindow) -> Mask | None:
        if mask is None:
            return None
        overlaps: Mask = self._part(window).meets_any(mask[None], weighted=True)[0]
        return overlaps


def _with_layers(mask: Mask | None) -> Mask:
    """Return a mask (layers, rows, cols) for one (rows, cols) or (layers, rows, cols)."""
    assert mask is not None  # noqa: S101 (for the type checker)
    return mask if mask.ndim > 2 else mask[None]  # noqa: PLR2004 (rows and cols)
