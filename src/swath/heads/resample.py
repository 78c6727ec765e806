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
    along_rows = np.swapaxes(_linear(np.swapaxes(values, -1, -2), y), -1, -2)
    return _linear(along_rows, x)


def _linear(values: Values, at: Positions) -> Values:
    """Between centres along the last axis."""
    place = np.clip(at - 0.5, 0, values.shape[-1] - 1)
    low = np.minimum(place.astype(np.int64), max(0, values.shape[-1] - 2))
    share = (place - low).astype(np.float32)
    high = np.minimum(low + 1, values.shape[-1] - 1)
    between: Values = values[..., low] * (1 - share) + values[..., high] * share
    return between
