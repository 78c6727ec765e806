"""Tiles of one size, still in the scene's numbers: padded, and filled where nothing is valid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


def pad(
    pixels: NDArray[Any], valid: NDArray[np.bool_] | None, *, size: int, fill_value: float
) -> NDArray[Any]:
    """A whole tile; the pixels themselves, uncopied, where they are one already.

    Args:
        pixels: (bands, rows, cols) in the scene's numbers, of any memory layout.
        valid: (rows, cols) or (bands, rows, cols), True = valid; None where every pixel is.
        size: px along each side of a tile.
        fill_value: what stands for a pixel that is not valid, not finite or not in the scene.

    Returns:
        (bands, size, size) in the memory layout of `pixels`; in their dtype, unless that is float64
        or cannot hold the fill value: then float32.
    """
    if pixels.dtype == np.float64:
        with np.errstate(over="ignore"):
            pixels = pixels.astype(np.float32)
    shown = _shown(pixels, valid)
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


def _shown(pixels: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    """Which numbers the model is shown, to be broadcast to the pixels; None where all are."""
    if pixels.dtype.kind == "f":
        finite = np.isfinite(pixels)
        shown = finite if valid is None else finite & valid
        return None if shown.all() else shown
    return None if valid is None or valid.all() else valid


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
