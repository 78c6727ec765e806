"""Pad tiles to the model's size and fill invalid pixels, in the scene's numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swath.models.scaling import Reach, reach_of

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pad(
    pixels: NDArray[Any],
    valid: NDArray[np.bool_] | None,
    *,
    size: int,
    fill_value: float,
    reach: Reach | None = None,
) -> NDArray[Any]:
    """Return a tile of the model's size, padded and with invalid pixels filled.

    Pixels that need neither padding nor filling are returned without a copy, unless they are
    float64.

    Args:
        pixels: (bands, rows, cols) in the scene's numbers, with any memory layout.
        valid: (rows, cols) or (bands, rows, cols), True = valid; None if all pixels are valid.
        size: Tile size in px.
        fill_value: Value of pixels that are invalid, outside the scene, not finite, or outside
            `reach`.
        reach: Range of each band that stays finite when scaled; by default that of float32.

    Returns:
        (bands, size, size) in the memory layout of `pixels`. The dtype is that of `pixels`, or
        float32 if that is float64 or cannot represent the fill value.
    """
    if pixels.dtype == np.float64:
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32)
    shown = _shown(pixels, valid, reach or reach_of([None] * len(pixels)))
    bands, rows, cols = pixels.shape
    if shown is None and rows == cols == size:
        return pixels
    dtype = pixels.dtype if _holds(pixels.dtype, fill_value) else np.dtype(np.float32)
    tile = _empty(pixels, (bands, size, size), dtype)
    place = tile[:, :rows, :cols]
    if shown is None:
        tile[:, rows:] = tile[:, :rows, cols:] = fill_value
        place[...] = pixels
    else:
        tile[...] = fill_value
        np.copyto(place, pixels, where=shown)
    return tile


def lost(
    pixels: NDArray[Any], shown: NDArray[Any], valid: NDArray[np.bool_] | None, reach: Reach
) -> NDArray[np.bool_] | None:
    """Return which valid, finite pixels are filled because they are outside the model's range.

    Args:
        pixels: (bands, rows, cols) in the scene's numbers.
        shown: The same pixels in the unit of the package.
        valid: (rows, cols) or (bands, rows, cols), True = valid; None if all pixels are valid.
        reach: Range of each band that stays finite in float32 when scaled.

    Returns:
        (bands, rows, cols), True for such a pixel; None if there are none.
    """
    if _all_within(shown, reach):
        return None
    found: NDArray[np.bool_] = np.isfinite(pixels) & ~_within(shown, reach)
    if valid is not None:
        found &= valid
    return found if found.any() else None


def _shown(
    pixels: NDArray[Any], valid: NDArray[np.bool_] | None, reach: Reach
) -> NDArray[np.bool_] | None:
    """Return which pixels are kept, broadcastable to `pixels`; None if all are kept."""
    if _all_within(pixels, reach):
        return None if valid is None or valid.all() else valid
    within = _within(pixels, reach)
    shown = within if valid is None else within & valid
    return None if shown.all() else shown


def _all_within(pixels: NDArray[Any], reach: Reach) -> bool:
    """Return whether all pixels are within the range of every band; False if one is NaN."""
    low, high = reach.common
    if pixels.dtype.kind in "iu":
        limits = np.iinfo(pixels.dtype)
        if low <= limits.min and limits.max <= high:
            return True
    return bool(pixels.min() >= low and pixels.max() <= high)


def _within(pixels: NDArray[Any], reach: Reach) -> NDArray[np.bool_]:
    low, high = (np.array(end)[:, None, None] for end in reach)
    within: NDArray[np.bool_] = (pixels >= low) & (pixels <= high)
    return within


def _holds(dtype: np.dtype[Any], value: float) -> bool:
    """Return whether a dtype can represent a value as precisely as float32."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return float(value).is_integer() and limits.min <= value <= limits.max
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
