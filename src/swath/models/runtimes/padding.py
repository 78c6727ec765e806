"""Tiles of one size, still in the scene's numbers: padded, and filled where nothing is valid."""

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
    """A whole tile; the pixels themselves, uncopied, where they are one already.

    Args:
        pixels: (bands, rows, cols) in the scene's numbers, of any memory layout.
        valid: (rows, cols) or (bands, rows, cols), True = valid; None where every pixel is.
        size: px along each side of a tile.
        fill_value: what stands for a pixel that is not valid, not in the scene, not finite, or
            beyond the reach.
        reach: the numbers of each band that the model can be shown; by default those of float32.

    Returns:
        (bands, size, size) in the memory layout of `pixels`; in their dtype, unless that is float64
        or cannot hold the fill value: then float32.
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
    """Which numbers of a scene are filled for no other reason than that float32 cannot hold them.

    Args:
        pixels: (bands, rows, cols) in the scene's numbers.
        shown: the same in the unit of the package.
        valid: (rows, cols) or (bands, rows, cols), True = valid; None where every pixel is.
        reach: the numbers of each band that the model can be shown.

    Returns:
        (bands, rows, cols); None where there are none.
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
    """Which numbers the model is shown, to be broadcast to the pixels; None where all are."""
    if _all_within(pixels, reach):
        return None if valid is None or valid.all() else valid
    within = _within(pixels, reach)
    shown = within if valid is None else within & valid
    return None if shown.all() else shown


def _all_within(pixels: NDArray[Any], reach: Reach) -> bool:
    """Whether every number is within the reach of every band; not if one is NaN."""
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
    """Whether an array of that type can hold the value as a float32 would."""
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        return float(value).is_integer() and limits.min <= value <= limits.max
    return dtype == np.float32 or float(dtype.type(value)) == value


def _empty(like: NDArray[Any], shape: tuple[int, int, int], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array whose bands lie as in `like`: beside one another in each pixel, or one by one."""
    if not bands_last(like):
        return np.empty(shape, dtype)
    bands, rows, cols = shape
    return np.empty((rows, cols, bands), dtype).transpose(2, 0, 1)


def bands_last(tile: NDArray[Any]) -> bool:
    """Whether the bands of a pixel lie side by side in memory."""
    return abs(tile.strides[0]) < abs(tile.strides[2])
