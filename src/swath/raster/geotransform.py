"""Convert positions in scene pixels to a scene's coordinate reference system."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.errors import RasterioError
from rasterio.transform import GCPTransformer

from swath.errors import SceneError
from swath.raster.projection import FARTHEST, without_session, world_width

if TYPE_CHECKING:
    from affine import Affine

    from swath._types import Floats
    from swath.raster.scene_info import Placed

_MOST_TPS_GCPS = 1000
"""Largest number of ground control points for a spline.

A spline through more points would take too long, so a polynomial is fitted to them.
"""
_MINIMUM_GCPS = 3


class Geotransform(Protocol):
    """Transform from a scene's pixels to its coordinate reference system."""

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in scene px as positions in the CRS."""
        ...


def geotransform_of(scene: Placed) -> Geotransform:
    """Return a scene's affine transform or, without one, a transform from ground control points.

    Raises:
        SceneError: The scene has neither, or its transform or points cannot be used.
    """
    if scene.transform is not None:
        return _by_affine(scene, scene.transform)
    if scene.gcps:
        return _by_gcps(scene)
    raise SceneError(f"{scene.uri} {_why_unplaced(scene)}")


@dataclass(frozen=True, slots=True)
class AffineTransform:
    """An affine transform from scene px to the CRS."""

    matrix: Affine

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in scene px as positions in the CRS."""
        a, b, c, d, e, f = self.matrix[:6]
        return a * x + b * y + c, d * x + e * y + f


@dataclass(frozen=True, slots=True)
class GcpTransform:
    """A thin plate spline through ground control points, or a polynomial fitted to very many.

    Unlike a polynomial, a spline is exact at each point, which radar scenes need.
    """

    _transformer: GCPTransformer

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in scene px as positions in the CRS."""
        placed_x, placed_y = self._transformer.xy(y, x, offset="ul")
        return np.asarray(placed_x, np.float64), np.asarray(placed_y, np.float64)


def _by_affine(scene: Placed, matrix: Affine) -> AffineTransform:
    a, b, c, d, e, f = matrix[:6]
    if a * e - b * d == 0 or not np.isfinite([a, b, c, d, e, f]).all():
        raise SceneError(f"{scene.uri} has a geotransform without area: {a, b, c, d, e, f}")
    return AffineTransform(matrix)


def _by_gcps(scene: Placed) -> GcpTransform:
    if fault := _fault_of(scene.gcps):
        raise SceneError(f"{scene.uri} has {len(scene.gcps)} ground control points, {fault}")
    try:
        with without_session():
            gcps = _continuous(scene)
            return GcpTransform(GCPTransformer(gcps, tps=len(gcps) <= _MOST_TPS_GCPS))
    except (RasterioError, CPLE_BaseError, ValueError) as error:
        raise SceneError(f"{scene.uri} has unusable ground control points: {error}") from error


def _fault_of(gcps: tuple[GroundControlPoint, ...]) -> str | None:
    if len(gcps) < _MINIMUM_GCPS:
        return f"of which {_MINIMUM_GCPS} are needed"
    points = np.array([(gcp.col, gcp.row, gcp.x, gcp.y) for gcp in gcps], np.float64)
    if not (np.abs(points) <= FARTHEST).all():  # also refuses NaN
        return "not all of them numbers that can be positions"
    pixels, places = points[:, :2], points[:, 2:]
    if any(np.linalg.matrix_rank(side - side[0]) < side.ndim for side in (pixels, places)):
        return "which all lie in a line"
    return None


def _continuous(scene: Placed) -> list[GroundControlPoint]:
    """Return the ground control points with x unwrapped, so that x does not jump by the width."""
    x = np.array([gcp.x for gcp in scene.gcps])
    width = world_width(scene.crs) if scene.crs else None
    if width is None or np.ptp(x) <= width / 2:
        return list(scene.gcps)
    x += width * (x < x.min() + width / 2)
    return [
        GroundControlPoint(row=g.row, col=g.col, x=float(at), y=g.y, z=g.z)
        for g, at in zip(scene.gcps, x, strict=True)
    ]


def _why_unplaced(scene: Placed) -> str:
    if scene.rpcs:
        return (
            "is placed by rational polynomial coefficients alone, which are right only with a "
            "terrain model: orthorectify it with gdalwarp -rpc -to RPC_DEM=dem.tif"
        )
    return (
        "does not say where it is: it has neither a geotransform nor ground control points; "
        "georeference it with gdal_edit.py -a_srs EPSG:… -a_ullr …"
    )
