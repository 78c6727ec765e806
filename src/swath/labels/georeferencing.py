"""Convert map coordinates to scene px."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import shapely.affinity

from swath.errors import LabelsError
from swath.labels.inverse_georeference import InverseGeoreference
from swath.labels.map_shapes import MapShapes
from swath.raster.georeference import Georeferencer
from swath.raster.projection import LON_LAT, world_width

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from swath.raster.scene_info import SceneInfo

    Numbers = NDArray[np.int64]

_PX_DECIMALS = 6
"""Number of decimals to which positions in px are rounded. Reprojecting a position there and back
has a smaller error."""
_MARGIN_SHARE = 0.25
"""Margin around a scene with ground control points, as a share of its extent. Farther out, the
points do not define positions."""


@dataclass(frozen=True, slots=True)
class SceneLocation:
    """Location of a scene on the map, and the conversion to its px."""

    scene: SceneInfo
    crs: CRS
    """CRS of the scene, or longitude and latitude if ground control points locate the scene."""
    _inverse: Affine | InverseGeoreference
    """Conversion from `crs` to scene px."""

    @classmethod
    def from_scene(cls, scene: SceneInfo) -> SceneLocation:
        """Return the location of a scene from its header.

        Raises:
            LabelsError: The header does not locate the scene.
            SceneError: The scene's ground control points are unusable. A run raises the same error.
        """
        if scene.crs is None or (scene.transform is None and not scene.gcps):
            raise LabelsError(
                f"{scene.uri} has no georeference, so labels in map coordinates cannot be "
                "converted to px; georeference it (gdal_edit.py can), or give COCO labels in px"
            )
        if scene.transform is None:
            return cls(scene, LON_LAT, InverseGeoreference(scene, Georeferencer.from_info(scene)))
        if scene.transform.determinant == 0:
            raise LabelsError(
                f"{scene.uri} has a geotransform whose pixels have no area; georeference it again"
            )
        return cls(scene, scene.crs, ~scene.transform)

    @property
    def shape(self) -> Any:
        """Shapely Polygon around the scene, in `crs`."""
        if isinstance(self._inverse, InverseGeoreference):
            west, south, east, north = self._inverse.extent
            margins = _MARGIN_SHARE * (east - west), _MARGIN_SHARE * (north - south)
            return shapely.box(
                west - margins[0], south - margins[1], east + margins[0], north + margins[1]
            )
        width, height = self.scene.width, self.scene.height
        affine = ~self._inverse
        corners = [(0, 0), (width, 0), (width, height), (0, height)]
        return shapely.Polygon([affine @ corner for corner in corners])

    @property
    def extent(self) -> tuple[float, float]:
        """Minimum and maximum x of the scene in `crs`."""
        west, _, east, _ = self.shape.bounds
        return west, east

    @property
    def wide_extent(self) -> tuple[float, float]:
        """`extent` of a scene wider than half the Earth; (0, 0) for all others.

        Scenes with the same `crs` and `wide_extent` can share one reprojection of the labels.
        """
        west, east = self.extent
        width = world_width(self.crs)
        return (west, east) if width and east - west > width / 2 else (0.0, 0.0)

    def intersecting(self, labels: MapShapes, tree: shapely.STRtree) -> tuple[Numbers, Numbers]:
        """Return the labels that intersect the scene, and their shifts.

        Args:
            labels: Labels in `crs`.
            tree: Spatial index of their shapes, without those that `crs` cannot represent.

        Returns:
            (k,) indices of labels, ascending, and (k,) shifts along x that move each label into the
            scene, in map widths. A label at both ends of a whole-Earth map is returned twice.
        """
        pairs = []
        for shift in labels.candidate_shifts(self.extent):
            moved = shapely.affinity.translate(self.shape, -shift * (labels.width or 0))
            near = tree.query(moved, predicate="intersects")
            pairs.append(np.stack([near, np.full(len(near), shift)]))
        indices, shifts = np.concatenate(pairs, axis=1) if pairs else np.zeros((2, 0), np.int64)
        wraps = labels.wraps_around[indices]
        shifts[wraps] = labels.nearest_shifts(indices[wraps], self.extent)
        # With ground control points, the position in px does not depend on the shift.
        ignores_shifts = isinstance(self._inverse, InverseGeoreference)
        keys = indices[None] if ignores_shifts else np.stack([indices, shifts])
        order = np.unique(keys, axis=1, return_index=True)[1]
        return indices[order], shifts[order]

    def pixels(self, shapes: NDArray[Any]) -> NDArray[Any]:
        """Convert shapes from `crs` to scene px.

        Args:
            shapes: (n,) shapely geometries.
        """
        if not len(shapes):
            return shapes
        return np.asarray(shapely.transform(shapes, self._to_pixels))

    def _to_pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        if isinstance(self._inverse, InverseGeoreference):
            return np.round(self._inverse.pixels(points), _PX_DECIMALS)
        a, b, c, d, e, f = self._inverse[:6]
        x, y = points.T
        with np.errstate(over="ignore"):  # infinite positions are refused later
            return np.round(np.stack([a * x + b * y + c, d * x + e * y + f], axis=1), _PX_DECIMALS)
