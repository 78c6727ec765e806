"""Define the types of arrays that many packages of swath use.

A module that does not need numpy otherwise imports them for type checkers only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Boxes = NDArray[np.float64]
"""(n, 4) boxes: x_min, y_min, x_max, y_max."""
Polygons = NDArray[np.object_]
"""(n,) shapely Polygons."""
TilePredicate = Callable[[Ints], Mask]
"""Function that selects tiles: takes (n,) tile numbers, returns (n,) bool."""
