"""Memory for strips of pixels, used again and again."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import DTypeLike, NDArray


def _references(arrays: list[NDArray[Any]]) -> list[int]:
    return [sys.getrefcount(array) for array in arrays]


_OURS = _references([np.empty(0)])[0]
"""References to an array that nothing but a list refers to, as counted by this Python."""


class Memory:
    """Gives out arrays of pixels, and gives one out again once no view of it is left.

    Memory that is new to a process is cleared by the kernel page by page, which takes a fifth as
    long as decoding the pixels that go there.
    """

    def __init__(self, layers: int, dtype: DTypeLike, *, interleaved: bool) -> None:
        """Give out nothing yet.

        Args:
            layers: how many values a pixel has.
            dtype: of a value.
            interleaved: whether the values of a pixel lie side by side.
        """
        self._layers, self._dtype, self._interleaved = layers, dtype, interleaved
        self._arrays: list[NDArray[Any]] = []

    def room(self, rows: int, cols: int) -> NDArray[Any]:
        """Pixels of any value, (layers, rows, cols)."""
        if self._interleaved:
            return self._array((rows, cols, self._layers)).transpose(2, 0, 1)
        return self._array((self._layers, rows, cols))[:]

    def _array(self, shape: tuple[int, int, int]) -> NDArray[Any]:
        # A view refers to the array that owns the memory, also if it is a view of a view.
        counts = _references(self._arrays)
        unseen = [a for a, count in zip(self._arrays, counts, strict=True) if count == _OURS]
        array = next((a for a in unseen if a.shape == shape), None)
        if array is None:
            # What is of another shape is of strips that are over.
            self._arrays = [a for a in self._arrays if not any(a is b for b in unseen)]
            array = np.empty(shape, self._dtype)
            self._arrays.append(array)
        return array
