"""The outline of a scene on Earth."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath.errors import SceneError

if TYPE_CHECKING:
    from swath.georeference import Georeferencer
    from swath.scene import Placed

# A scene's edges are straight in its own CRS and bend in degrees: the outline follows in steps.
_STEPS = 16


def footprint(scene: Placed, georeferencer: Georeferencer) -> shapely.Geometry:
    """Draw the outline of the whole scene in EPSG:4326 (lon, lat), split at the antimeridian.

    Raises:
        SceneError: it has none, since ground control points contradict each other.
    """
    columns, rows = (np.linspace(0, size, _STEPS + 1) for size in (scene.width, scene.height))
    left, top = (edge.ravel() for edge in np.meshgrid(columns[:-1], rows[:-1]))
    right, bottom = (edge.ravel() for edge in np.meshgrid(columns[1:], rows[1:]))
    cells = np.column_stack([left, top, right, bottom])
    try:
        return shapely.union_all(georeferencer.polygons(cells))
    except shapely.errors.GEOSException:
        raise SceneError(
            f"{scene.uri} has ground control points that fold it over itself; "
            "correct them, or orthorectify it with gdalwarp"
        ) from None
