"""From map coordinates to scene pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import shapely.affinity

from swath.errors import LabelsError
from swath.labels.inverse import Inverse
from swath.labels.turns import MapShapes
from swath.raster.georeference import Georeferencer
from swath.raster.projection import LON_LAT, world_width

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from swath.raster.scene_info import SceneInfo

    Numbers = NDArray[np.int64]

_DECIMALS = 6
"""Of a pixel; what reprojection and back leaves uncertain is less."""
_MARGIN = 0.25
"""Around a scene by ground control points, in its extent; beyond, they mean nothing."""


@dataclass(frozen=True, slots=True)
class Footprint:
    """Where a scene lies, and its pixels there.

    Its `crs` is the scene's own or, where ground control points place it, that of lon and lat.
    """

    scene: SceneInfo
    crs: CRS
    _inverse: Affine | Inverse
    """CRS to pixels."""

    @classmethod
    def of(cls, scene: SceneInfo) -> Footprint:
        """By the header of the scene.

        Raises:
            LabelsError: it does not say where the scene is.
            SceneError: a run cannot use its ground control points either.
        """
        if scene.crs is None or (scene.transform is None and not scene.gcps):
            raise LabelsError(
                f"{scene.uri} does not say where it is, so labels in map coordinates cannot be "
                "placed in it; georeference it (gdal_edit.py can), or give its labels in px as COCO"
            )
        if scene.transform is None:
            return cls(scene, LON_LAT, Inverse(scene, Georeferencer.of(scene)))
        if scene.transform.determinant == 0:
            raise LabelsError(f"{scene.uri} has a geotransform without area; georeference it anew")
        return cls(scene, scene.crs, ~scene.transform)

    @property
    def shape(self) -> Any:
        """A polygon around the scene, in its coordinate reference system."""
        if isinstance(self._inverse, Inverse):
            west, south, east, north = self._inverse.extent
            margins = _MARGIN * (east - west), _MARGIN * (north - south)
            return shapely.box(
                west - margins[0], south - margins[1], east + margins[0], north + margins[1]
            )
        width, height = self.scene.width, self.scene.height
        place = ~self._inverse
        corners = [(0, 0), (width, 0), (width, height), (0, height)]
        return shapely.Polygon([place @ corner for corner in corners])

    @property
    def extent(self) -> tuple[float, float]:
        """Least and greatest x of the scene in its coordinate reference system."""
        west, _, east, _ = self.shape.bounds
        return west, east

    @property
    def wide_extent(self) -> tuple[float, float]:
        """The extent of a scene of more than half the Earth; of others, which are alike, 0, 0."""
        west, east = self.extent
        width = world_width(self.crs)
        return (west, east) if width and east - west > width / 2 else (0.0, 0.0)

    def find(self, labels: MapShapes, tree: shapely.STRtree) -> tuple[Numbers, Numbers]:
        """Find the labels that lie in the scene.

        Args:
            labels: on the scene's map.
            tree: of their shapes, less those that have no place there.

        Returns:
            Their numbers, ascending, and by how many of the map's widths each has to move. What is
            cut by a map of the whole Earth lies at both of its ends, and comes twice.
        """
        pairs = []
        for turn in labels.turns(self.extent):
            moved = shapely.affinity.translate(self.shape, -turn * (labels.width or 0))
            near = tree.query(moved, predicate="intersects")
            pairs.append(np.stack([near, np.full(len(near), turn)]))
        numbers, turns = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
        ring = labels.around[numbers]
        turns[ring] = labels.nearest(numbers[ring], self.extent)
        # One turn or another, a pixel by ground control points is the same.
        single = isinstance(self._inverse, Inverse)
        keys = numbers[None] if single else np.stack([numbers, turns])
        order = np.unique(keys, axis=1, return_index=True)[1]
        return numbers[order], turns[order]

    def pixels(self, shapes: NDArray[Any]) -> NDArray[Any]:
        """Shapes in the scene's coordinate reference system as shapes in its pixels."""
        if not len(shapes):
            return shapes
        return np.asarray(shapely.transform(shapes, self._place))

    def _place(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if isinstance(self._inverse, Inverse):
            return np.round(self._inverse.pixels(points), _DECIMALS)
        a, b, c, d, e, f = self._inverse[:6]
        x, y = points.T
        with np.errstate(over="ignore"):  # what is at infinity is refused later
            return np.round(np.stack([a * x + b * y + c, d * x + e * y + f], axis=1), _DECIMALS)
