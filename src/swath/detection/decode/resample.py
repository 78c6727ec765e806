"""Arrays at other resolutions, as networks have them: pixels are areas, their values at centres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32]
Positions = NDArray[np.float64]


def bilinear(values: Values, y: Positions, x: Positions) -> Values:
    """Values between pixels' centres; beyond the outermost centres, theirs.

    Args:
        values: (..., rows, cols).
        y: (m,) in px of `values` from its upper edge; the first centre is at 0.5.
        x: (n,) likewise, from its left edge.

    Returns:
        (..., m, n).
    """
    # Rows last: there are more of them then, and whole rows are quick to copy.
    return _linear(_linear(values, x, axis=-1), y, axis=-2)


def _linear(values: Values, at: Positions, axis: int) -> Values:
    """Between centres along an axis."""
    length = values.shape[axis]
    place = np.clip(at - 0.5, 0, length - 1)
    low = np.minimum(place.astype(np.int64), max(0, length - 2))
    share = (place - low).astype(np.float32)
    share = share if axis == -1 else share[:, None]
    between = np.take(values, low, axis)
    between *= 1 - share
    further = np.take(values, np.minimum(low + 1, length - 1), axis)
    further *= share
    between += further
    return between
