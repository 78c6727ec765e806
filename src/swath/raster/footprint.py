"""Compute the outline of a scene on Earth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath.errors import SceneError
from swath.raster.polygons import GRID
from swath.raster.unusual_polygons import place_polygon

if TYPE_CHECKING:
    from swath._types import Floats
    from swath.raster.georeference import Georeferencer
    from swath.raster.scene_info import Placed

_STEPS = 16
"""Number of cells along each side of a scene that are checked for folds."""
_FOLLOWED = 0.5
"""Largest distance in px of the outline from the scene's edges, which are curved in degrees."""
_CELLS = 512
"""Largest number of cells along a side, where a part of the scene is not on Earth."""


def footprint(scene: Placed, georeferencer: Georeferencer) -> shapely.Geometry:
    """Return the outline of the whole scene in EPSG:4326 (lon, lat), split at the antimeridian.

    The outline excludes parts that are not on Earth, such as the corners of a weather satellite's
    image.

    Raises:
        SceneError: The scene has no outline, as its ground control points contradict each other.
    """
    columns, rows = (np.linspace(0, size, _STEPS + 1) for size in (scene.width, scene.height))
    if scene.transform is None and _folds(georeferencer, columns, rows):
        raise SceneError(
            f"{scene.uri} has ground control points that fold it over itself; "
            "correct them, or orthorectify it with gdalwarp"
        )
    whole = georeferencer.once_around(shapely.box(0, 0, scene.width, scene.height))
    finest = max(scene.width, scene.height) / _CELLS
    outline = place_polygon(
        georeferencer.points, whole, bends=True, follow=_FOLLOWED, finest=finest
    )
    return shapely.Polygon() if outline is None else shapely.simplify(outline, GRID)


def _folds(georeferencer: Georeferencer, columns: Floats, rows: Floats) -> bool:
    """Return whether a grid of positions has cells of both orientations, and so folds over itself.

    Args:
        georeferencer: Georeference of the scene.
        columns: Positions along x in scene px, (n,).
        rows: Positions along y in scene px, (n,).
    """
    across, down = np.meshgrid(columns, rows)
    x, y = georeferencer.geotransform.forward(across.ravel(), down.ravel())
    x, y = x.reshape(across.shape), y.reshape(across.shape)
    right = _unit(np.diff(x, axis=1)[:-1], np.diff(y, axis=1)[:-1])
    below = _unit(np.diff(x, axis=0)[:, :-1], np.diff(y, axis=0)[:, :-1])
    turn = right[0] * below[1] - right[1] * below[0]
    return bool((turn > 0).any() and (turn < 0).any())


def _unit(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Scale vectors to length 1, as splines through contradicting points have lengths of 1e200."""
    length = np.maximum(np.hypot(x, y), np.finfo(np.float64).tiny)
    return x / length, y / length
