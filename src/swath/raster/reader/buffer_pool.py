"""Reuse the memory of arrays of pixels."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


def _references(arrays: list[NDArray[Any]]) -> list[int]:
    return [sys.getrefcount(array) for array in arrays]


_UNUSED_REFCOUNT = _references([np.empty(0)])[0]
"""Reference count, in this Python, of an array that only a list refers to."""


class BufferPool:
    """Pool of pixel arrays, in which an array is reused once no view of it is left.

    The kernel clears new memory of a process page by page. This takes a fifth as long as decoding
    the pixels.
    """

    def __init__(self, layers: int, dtype: DTypeLike, *, interleaved: bool) -> None:
        """Create an empty pool.

        Args:
            layers: Number of values per pixel.
            dtype: Type of a value.
            interleaved: Whether the values of a pixel are adjacent in memory.
        """
        self._layers, self._dtype, self._interleaved = layers, dtype, interleaved
        self._arrays: list[NDArray[Any]] = []

    def allocate(self, rows: int, cols: int) -> NDArray[Any]:
        """Return uninitialized pixels, (layers, rows, cols)."""
        if self._interleaved:
            return self._reuse_or_allocate((rows, cols, self._layers)).transpose(2, 0, 1)
        return self._reuse_or_allocate((self._layers, rows, cols))[:]

    def _reuse_or_allocate(self, shape: tuple[int, int, int]) -> NDArray[Any]:
        # Every view refers to the array that owns the memory, even a view of a view.
        counts = _references(self._arrays)
        unused = [
            a for a, count in zip(self._arrays, counts, strict=True) if count == _UNUSED_REFCOUNT
        ]
        array = next((a for a in unused if a.shape == shape), None)
        if array is None:
            # Unused arrays of other shapes belong to finished rows of tiles.
            self._arrays = [a for a in self._arrays if not any(a is b for b in unused)]
            array = np.empty(shape, self._dtype)
            self._arrays.append(array)
        return array
