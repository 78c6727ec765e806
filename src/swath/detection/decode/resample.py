"""Resample arrays as networks do: pixels are areas, with their values at the centers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Positions = NDArray[np.float64]


def bilinear(values: Values, y: Positions, x: Positions) -> Values:
    """Return values interpolated between pixel centers; beyond them the outermost value is used.

    Args:
        values: (..., rows, cols).
        y: (m,) positions in px of `values` from the upper edge; the first center is at 0.5.
        x: (n,) positions in px of `values` from the left edge; the first center is at 0.5.

    Returns:
        (..., m, n) values.
    """
    # The y axis is last: that step handles more values, and copies whole rows, which is fast.
    return _linear(_linear(values, x, axis=-1), y, axis=-2)


def _linear(values: Values, at: Positions, axis: int) -> Values:
    """Return values interpolated between centers along one axis."""
    length = values.shape[axis]
    position = np.clip(at - 0.5, 0, length - 1)
    low = np.minimum(position.astype(np.int64), max(0, length - 2))
    weight = (position - low).astype(np.float32)
    weight = weight if axis == -1 else weight[:, None]
    result = np.take(values, low, axis)
    result *= 1 - weight
    next_values = np.take(values, np.minimum(low + 1, length - 1), axis)
    next_values *= weight
    result += next_values
    return result
