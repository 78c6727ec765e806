"""Compute the outline of a scene on Earth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath.errors import SceneError
from swath.raster.polygons import GRID_DEGREES
from swath.raster.unusual_polygons import polygon_to_lonlat

if TYPE_CHECKING:
    from swath._types import Floats
    from swath.raster.georeference import Georeferencer
    from swath.raster.scene_info import ImageInfo

_FOLD_CHECK_CELLS = 16
"""Number of cells along each side of a scene that are checked for folds."""
_MAX_DEVIATION_PX = 0.5
"""Largest distance in px of the outline from the scene's edges, which are curved in degrees."""
_MAX_CELLS = 512
"""Largest number of cells along a side of a scene of which a part is not on Earth."""


def footprint(scene: ImageInfo, georeferencer: Georeferencer) -> shapely.Geometry:
    """Return the outline of the whole scene in EPSG:4326 (lon, lat), split at the antimeridian.

    The outline excludes parts that are not on Earth, such as the corners of a weather satellite's
    image.

    Raises:
        SceneError: The scene has no outline, as its ground control points contradict each other.
    """
    columns, rows = (
        np.linspace(0, size, _FOLD_CHECK_CELLS + 1) for size in (scene.width, scene.height)
    )
    if scene.transform is None and _is_folded(georeferencer, columns, rows):
        raise SceneError(
            f"{scene.uri} has ground control points that fold it over itself; "
            "correct them, or orthorectify it with gdalwarp"
        )
    return outline_to_lonlat(shapely.box(0, 0, scene.width, scene.height), scene, georeferencer)


def outline_to_lonlat(
    outline: shapely.Geometry, scene: ImageInfo, georeferencer: Georeferencer
) -> shapely.Geometry:
    """Convert an outline of any extent from scene px to EPSG:4326, split at the antimeridian.

    Args:
        outline: Polygon or MultiPolygon in scene px.
        scene: Size of the scene.
        georeferencer: Georeference of the scene.

    Returns:
        Polygon or MultiPolygon (lon, lat) of the parts that are on Earth; an empty Polygon if there
        are none.
    """
    finest = max(scene.width, scene.height) / _MAX_CELLS
    converted = polygon_to_lonlat(
        georeferencer.to_lonlat,
        georeferencer.limit_to_one_turn(outline),
        is_curved=True,
        max_deviation=_MAX_DEVIATION_PX,
        finest=finest,
    )
    return shapely.Polygon() if converted is None else shapely.simplify(converted, GRID_DEGREES)


def _is_folded(georeferencer: Georeferencer, columns: Floats, rows: Floats) -> bool:
    """Return whether a grid of positions has cells of both orientations, and so folds over itself.

    Args:
        georeferencer: Georeference of the scene.
        columns: Positions along x in scene px, (n,).
        rows: Positions along y in scene px, (n,).
    """
    across, down = np.meshgrid(columns, rows)
    x, y = georeferencer.geotransform.forward(across.ravel(), down.ravel())
    x, y = x.reshape(across.shape), y.reshape(across.shape)
    right = _normalize(np.diff(x, axis=1)[:-1], np.diff(y, axis=1)[:-1])
    below = _normalize(np.diff(x, axis=0)[:, :-1], np.diff(y, axis=0)[:, :-1])
    turn = right[0] * below[1] - right[1] * below[0]
    return bool((turn > 0).any() and (turn < 0).any())


def _normalize(x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Scale vectors to length 1, as splines through contradicting points have lengths of 1e200."""
    length = np.maximum(np.hypot(x, y), np.finfo(np.float64).tiny)
    return x / length, y / length
