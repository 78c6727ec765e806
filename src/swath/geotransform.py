"""From scene pixels to a scene's coordinate reference system, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.errors import RasterioError
from rasterio.transform import GCPTransformer

from swath.errors import SceneError
from swath.projection import without_session, world_width

if TYPE_CHECKING:
    from affine import Affine
    from numpy.typing import NDArray

    from swath.scene import Placed

    Floats = NDArray[np.float64]

_FARTHEST = 1e9
"""CRS units; no position on Earth is farther from an origin."""
_MOST_TPS_GCPS = 1000
"""A spline through more would take too long; a polynomial has to do."""
_MINIMUM_GCPS = 3
_ITERATIONS = 20
_STEP = 0.5
"""px; for the slopes of the way forward."""
_SOLVED = 1e-7
"""px; an inverse that is as near is exact."""
_UNSOLVED = 0.01
"""px; an inverse that is farther off is none."""


class Geotransform(Protocol):
    """A scene's pixels in its coordinate reference system."""

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in scene px as positions in the CRS."""
        ...

    def backward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in the CRS as positions in scene px; NaN where there are none."""
        ...


def geotransform_of(scene: Placed) -> Geotransform:
    """Return the affine transform of a scene or, without one, that of its ground control points.

    Raises:
        SceneError: it has neither, or what it has cannot be used.
    """
    if scene.transform is not None:
        return _by_affine(scene, scene.transform)
    if scene.gcps:
        return _by_gcps(scene)
    raise SceneError(f"{scene.uri} {_why_unplaced(scene)}")


@dataclass(frozen=True, slots=True)
class AffineTransform:
    """An affine transform: exact both ways."""

    matrix: Affine
    inverse: Affine

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in scene px as positions in the CRS."""
        return _moved(self.matrix, x, y)

    def backward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in the CRS as positions in scene px."""
        return _moved(self.inverse, x, y)


def _moved(matrix: Affine, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    a, b, c, d, e, f = matrix[:6]
    return a * x + b * y + c, d * x + e * y + f


@dataclass(frozen=True, slots=True)
class GcpTransform:
    """A thin plate spline through ground control points, or a polynomial near very many of them.

    Unlike a polynomial, a spline is exact at each point, which radar needs. The way back is solved
    by Newton's method, since GDAL's own way back is another spline.
    """

    _transformer: GCPTransformer

    def forward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in scene px as positions in the CRS."""
        placed_x, placed_y = self._transformer.xy(y, x, offset="ul")
        return np.asarray(placed_x, np.float64), np.asarray(placed_y, np.float64)

    def backward(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Return positions (n,) in the CRS as positions in scene px; NaN where there are none."""
        wanted = np.stack([x, y])
        known = np.isfinite(wanted).all(axis=0)
        found = np.full(wanted.shape, np.nan)
        if known.any():
            found[:, known] = self._solve(wanted[:, known])
        return found[0], found[1]

    def _solve(self, wanted: Floats) -> Floats:
        """Return the px (2, n) that `forward` takes to the positions (2, n) in the CRS."""
        rows, cols = self._transformer.rowcol(*wanted, op=_unrounded)
        at = np.stack([np.asarray(cols, np.float64), np.asarray(rows, np.float64)])
        step = np.full(at.shape, np.inf)
        for _ in range(_ITERATIONS):
            step = self._step(at, wanted)
            at = at - step
            if not (np.abs(step) > _SOLVED).any():
                break
        at[:, ~(np.abs(step) <= _UNSOLVED).all(axis=0)] = np.nan
        return at

    def _step(self, at: Floats, wanted: Floats) -> Floats:
        """Return Newton's step (2, n) in px, by slopes between positions half a px aside."""
        x, y = at
        aside = np.concatenate([x + _STEP, x - _STEP, x, x, x])
        along = np.concatenate([y, y, y + _STEP, y - _STEP, y])
        right, left, below, above, here = (
            np.stack(self.forward(aside, along)).reshape(2, 5, -1).swapaxes(0, 1)
        )
        (a, d), (b, e) = right - left, below - above
        u, v = here - wanted
        area = a * e - b * d
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.stack([e * u - b * v, a * v - d * u]) / area


def _unrounded(value: Floats) -> Floats:
    return value


def _by_affine(scene: Placed, matrix: Affine) -> AffineTransform:
    a, b, c, d, e, f = matrix[:6]
    if a * e - b * d == 0 or not np.isfinite([a, b, c, d, e, f]).all():
        raise SceneError(f"{scene.uri} has a geotransform without area: {a, b, c, d, e, f}")
    return AffineTransform(matrix, ~matrix)


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
    if not (np.abs(points) <= _FARTHEST).all():  # nor where they are NaN
        return "not all of them numbers that can be positions"
    pixels, places = points[:, :2], points[:, 2:]
    if any(np.linalg.matrix_rank(side - side[0]) < side.ndim for side in (pixels, places)):
        return "which all lie in a line"
    return None


def _continuous(scene: Placed) -> list[GroundControlPoint]:
    """Return the points so that their x does not jump where longitudes begin anew."""
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
