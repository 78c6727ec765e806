"""Pad tiles to the model's size and fill invalid pixels, in the scene's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swath.models.scaling import FiniteRange, finite_range

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pad(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    *,
    size: int,
    fill_value: float,
    limits: FiniteRange | None = None,
) -> NDArray[Any]:
    """Return a tile of the model's size, padded and with invalid pixels filled.

    Pixels that need neither padding nor filling are returned without a copy, unless they are
    float64.

    Args:
        pixels: (bands, rows, cols) in the scene's numbers, with any memory layout.
        valid: (rows, cols) or (bands, rows, cols), True = valid; None if all pixels are valid.
        size: Tile size in px.
        fill_value: Value of pixels that are invalid, outside the scene, not finite, or outside
            `limits`.
        limits: Range of each band that stays finite when scaled; by default that of float32.

    Returns:
        (bands, size, size) in the memory layout of `pixels`. The dtype is that of `pixels`, or
        float32 if that is float64 or cannot represent the fill value.
    """
    if pixels.dtype == np.float64:
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32)
    usable = _usable_pixels(pixels, valid, limits or finite_range([None] * len(pixels)))
    bands, rows, cols = pixels.shape
    if usable is None and rows == cols == size:
        return pixels
    dtype = pixels.dtype if _can_represent(pixels.dtype, fill_value) else np.dtype(np.float32)
    tile = _empty(pixels, (bands, size, size), dtype)
    window = tile[:, :rows, :cols]
    if usable is None:
        tile[:, rows:] = tile[:, :rows, cols:] = fill_value
        window[...] = pixels
    else:
        tile[...] = fill_value
        np.copyto(window, pixels, where=usable)
    return tile


def out_of_range_pixels(
    pixels: NDArray[Any],
    converted: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    limits: FiniteRange,
) -> NDArray[np.bool_] | None:
    """Return which valid, finite pixels are filled because they are outside the model's range.

    Args:
        pixels: (bands, rows, cols) in the scene's numbers.
        converted: The same pixels in the unit of the package.
        valid: (rows, cols) or (bands, rows, cols), True = valid; None if all pixels are valid.
        limits: Range of each band that stays finite in float32 when scaled.

    Returns:
        (bands, rows, cols), True for such a pixel; None if there are none.
    """
    if _all_within(converted, limits):
        return None
    filled: NDArray[np.bool_] = np.isfinite(pixels) & ~_within(converted, limits)
    if valid is not None:
        filled &= valid
    return filled if filled.any() else None


def _usable_pixels(
    pixels: NDArray[Any], valid: NDArray[np.bool_] | None, limits: FiniteRange
) -> NDArray[np.bool_] | None:
    """Return which pixels are kept, broadcastable to `pixels`; None if all are kept."""
    if _all_within(pixels, limits):
        return None if valid is None or valid.all() else valid
    within = _within(pixels, limits)
    usable = within if valid is None else within & valid
    return None if usable.all() else usable


def _all_within(pixels: NDArray[Any], limits: FiniteRange) -> bool:
    """Return whether all pixels are within the range of every band; False if one is NaN."""
    low, high = limits.common
    if pixels.dtype.kind in "iu":
        dtype_range = np.iinfo(pixels.dtype)
        if low <= dtype_range.min and dtype_range.max <= high:
            return True
    return bool(pixels.min() >= low and pixels.max() <= high)


def _within(pixels: NDArray[Any], limits: FiniteRange) -> NDArray[np.bool_]:
    low, high = (np.array(end)[:, None, None] for end in limits)
    within: NDArray[np.bool_] = (pixels >= low) & (pixels <= high)
    return within


def _can_represent(dtype: np.dtype[Any], value: float) -> bool:
    """Return whether a dtype can represent a value as precisely as float32."""
    if dtype.kind in "iu":
        dtype_range = np.iinfo(dtype)
        return float(value).is_integer() and dtype_range.min <= value <= dtype_range.max
    return dtype == np.float32 or float(dtype.type(value)) == value


def _empty(like: NDArray[Any], shape: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return an uninitialized array (bands, rows, cols) with the memory layout of `like`."""
    if not bands_last(like):
        return np.empty(shape, dtype)
    bands, rows, cols = shape
    return np.empty((rows, cols, bands), dtype).transpose(2, 0, 1)


def bands_last(tile: NDArray[Any]) -> bool:
    """Return whether the bands of a pixel are adjacent in memory."""
    return abs(tile.strides[0]) < abs(tile.strides[2])
