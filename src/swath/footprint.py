"""The outline of a scene on Earth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath.errors import SceneError
from swath.places import GRID, polygons_only

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.georeference import Georeferencer
    from swath.scene import Placed

    Floats = NDArray[np.float64]

# A scene's edges are straight in its own CRS and bend in degrees: the outline follows in steps.
_STEPS = 16


def footprint(scene: Placed, georeferencer: Georeferencer) -> shapely.Geometry:
    """Draw the outline of the whole scene in EPSG:4326 (lon, lat), split at the antimeridian.

    It goes without what is nowhere on Earth, as the corners of a weather satellite's image.

    Raises:
        SceneError: it has none, since ground control points contradict each other.
    """
    columns, rows = (np.linspace(0, size, _STEPS + 1) for size in (scene.width, scene.height))
    left, top = (edge.ravel() for edge in np.meshgrid(columns[:-1], rows[:-1]))
    right, bottom = (edge.ravel() for edge in np.meshgrid(columns[1:], rows[1:]))
    if scene.transform is None and _folds(georeferencer, columns, rows):
        raise SceneError(
            f"{scene.uri} has ground control points that fold it over itself; "
            "correct them, or orthorectify it with gdalwarp"
        )
    cells = georeferencer.polygons(np.column_stack([left, top, right, bottom]))
    found = [cell for cell in cells if cell is not None]
    return polygons_only(shapely.union_all(shapely.make_valid(found), grid_size=GRID))


def _folds(georeferencer: Georeferencer, columns: Floats, rows: Floats) -> bool:
    """Tell whether some of a grid's cells lie the other way up than others."""
    across, down = np.meshgrid(columns, rows)
    x, y = georeferencer.geotransform.forward(across.ravel(), down.ravel())
    x, y = x.reshape(across.shape), y.reshape(across.shape)
    right, below = (
        (np.diff(x, axis=1)[:-1], np.diff(y, axis=1)[:-1]),
        (
            np.diff(x, axis=0)[:, :-1],
            np.diff(y, axis=0)[:, :-1],
        ),
    )
    turn = right[0] * below[1] - right[1] * below[0]
    return bool((turn > 0).any() and (turn < 0).any())
