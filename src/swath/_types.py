"""Types of arrays that many rooms name.

A module that has no other use for numpy imports them for type checkers only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Boxes = NDArray[np.float64]
"""(n, 4): x_min, y_min, x_max, y_max."""
Polygons = NDArray[np.object_]
"""(n,) of shapely Polygons."""
TilePredicate = Callable[[Ints], Mask]
"""Selects tiles: (n,) tile numbers to (n,) bool."""
