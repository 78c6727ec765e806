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
from swath.raster.projection import MAX_COORDINATE, without_session, world_width

if TYPE_CHECKING:
    from affine import Affine

    from swath._types import Floats
    from swath.raster.scene_info import ImageInfo

_MAX_TPS_GCPS = 1000
"""Largest number of ground control points for a spline.

A spline through more points would take too long, so a polynomial is fitted to them.
"""
_MIN_GCPS = 3


class Geotransform(Protocol):
    """Transform from a scene's pixels to its coordinate reference system."""

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in scene px as positions in the CRS."""
        ...


def geotransform_from_info(scene: ImageInfo) -> Geotransform:
    """Return a scene's affine transform or, without one, a transform from ground control points.

    Raises:
        SceneError: The scene has neither, or its transform or points cannot be used.
    """
    if scene.transform is not None:
        return _affine_transform(scene, scene.transform)
    if scene.gcps:
        return _gcp_transform(scene)
    raise SceneError(f"{scene.uri} {_missing_georeference(scene)}")


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
    """Thin plate spline through ground control points; for very many points, a fitted polynomial.

    Unlike a polynomial, a spline is exact at each point, which radar scenes need.
    """

    _transformer: GCPTransformer

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in scene px as positions in the CRS."""
        crs_x, crs_y = self._transformer.xy(y, x, offset="ul")
        return np.asarray(crs_x, np.float64), np.asarray(crs_y, np.float64)


def _affine_transform(scene: ImageInfo, matrix: Affine) -> AffineTransform:
    a, b, c, d, e, f = matrix[:6]
    if a * e - b * d == 0 or not np.isfinite([a, b, c, d, e, f]).all():
        raise SceneError(
            f"{scene.uri} has a geotransform that cannot be inverted: {a, b, c, d, e, f}"
        )
    return AffineTransform(matrix)


def _gcp_transform(scene: ImageInfo) -> GcpTransform:
    if problem := _gcp_problem(scene.gcps):
        raise SceneError(f"{scene.uri} has {len(scene.gcps)} ground control points, {problem}")
    try:
        with without_session():
            gcps = _unwrap_gcps(scene)
            return GcpTransform(GCPTransformer(gcps, tps=len(gcps) <= _MAX_TPS_GCPS))
    except (RasterioError, CPLE_BaseError, ValueError) as error:
        raise SceneError(f"{scene.uri} has unusable ground control points: {error}") from error


def _gcp_problem(gcps: tuple[GroundControlPoint, ...]) -> str | None:
    if len(gcps) < _MIN_GCPS:
        return f"but {_MIN_GCPS} are needed"
    points = np.array([(gcp.col, gcp.row, gcp.x, gcp.y) for gcp in gcps], np.float64)
    if not (np.abs(points) <= MAX_COORDINATE).all():  # also refuses NaN
        return "not all of which are valid positions"
    pixels, positions = points[:, :2], points[:, 2:]
    if any(np.linalg.matrix_rank(side - side[0]) < side.ndim for side in (pixels, positions)):
        return "which all lie on one line"
    return None


def _unwrap_gcps(scene: ImageInfo) -> list[GroundControlPoint]:
    """Return the ground control points, with an x that does not jump at the antimeridian."""
    x = np.array([gcp.x for gcp in scene.gcps])
    width = world_width(scene.crs) if scene.crs else None
    if width is None or np.ptp(x) <= width / 2:
        return list(scene.gcps)
    x += width * (x < x.min() + width / 2)
    return [
        GroundControlPoint(row=g.row, col=g.col, x=float(at), y=g.y, z=g.z)
        for g, at in zip(scene.gcps, x, strict=True)
    ]


def _missing_georeference(scene: ImageInfo) -> str:
    if scene.rpcs:
        return (
            "has only rational polynomial coefficients as its georeference. These need a "
            "terrain model: orthorectify the scene with gdalwarp -rpc -to RPC_DEM=dem.tif"
        )
    return (
        "has no georeference: it has neither a geotransform nor ground control points; "
        "georeference it with gdal_edit.py -a_srs EPSG:… -a_ullr …"
    )
