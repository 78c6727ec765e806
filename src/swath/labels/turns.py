"""Labels on maps that go around the Earth, where one longitude lies at many x.

Such a map repeats after its width: a scene may begin at any longitude, and hold one twice. Files of
labels cut objects at the antimeridian, as RFC 7946 has it, and a map may be cut elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import shapely.affinity

from swath.raster.projection import reproject, without_session, world_width

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from rasterio.crs import CRS

    from swath._types import Floats

    Range = tuple[float, float]

_TINY = 1e-6
"""A share of the map's width: a shape this near to the whole goes all around the Earth."""
_FINE = 1e-12
"""A share of the map's width: two ends of a shape this near to each other meet."""


@dataclass(frozen=True, slots=True)
class MapShapes:
    """Shapes on a map, each in one piece even where the map or their file was cut."""

    shapes: NDArray[Any]
    """(n,) in the map's CRS; those that it cannot hold have corners at infinity."""
    around: NDArray[np.bool_]
    """(n,) which go all around the Earth; these cover the map three times over."""
    width: float | None
    """CRS units after which the map repeats; None where it does not."""

    def turns(self, extent: Range) -> list[int]:
        """Return by how many widths shapes may have to move to lie in a scene.

        Args:
            extent: least and greatest x of the scene.
        """
        bounds = shapely.bounds(self.shapes)[:, ::2]
        bounds = bounds[np.isfinite(bounds).all(axis=1)]
        if self.width is None or not len(bounds):
            return [0]
        first = np.ceil((extent[0] - bounds[:, 1].max()) / self.width - _TINY)
        last = np.floor((extent[1] - bounds[:, 0].min()) / self.width + _TINY)
        return list(range(int(first), int(last) + 1))

    def nearest(self, numbers: NDArray[np.int64], extent: Range) -> NDArray[np.int64]:
        """Return by how many widths shapes have to move to lie nearest to a scene's middle."""
        if self.width is None:
            return np.zeros(len(numbers), np.int64)
        middle = shapely.bounds(self.shapes[numbers])[:, ::2].mean(axis=1)
        return np.asarray(np.round((np.mean(extent) - middle) / self.width), np.int64)

    def moved(self, numbers: NDArray[np.int64], turns: NDArray[np.int64]) -> NDArray[Any]:
        """Return some of the shapes, each moved by a number of the map's widths."""
        found = self.shapes[numbers]
        if self.width is None or not turns.any():
            return found
        corners, owner = shapely.get_coordinates(found, return_index=True)
        corners[:, 0] += self.width * turns[owner]
        return np.asarray(shapely.set_coordinates(found, corners))


def place_on_map(shapes: NDArray[Any], source: CRS, target: CRS, extent: Range) -> MapShapes:
    """Bring shapes to another system, each in one piece.

    An edge longer than half the Earth is taken for one the short way across the antimeridian,
    unless the shape as it is written lies in the scene.

    Args:
        shapes: (n,) shapely Polygons, MultiPolygons and Points.
        source: their system.
        target: the map's.
        extent: least and greatest x of the scene, or of scenes that are as wide.
    """
    width = world_width(target)
    around = np.zeros(len(shapes), np.bool_)
    if not len(shapes) or (source == target and width is None):
        return MapShapes(shapes.copy(), around, width)
    parts, owner = shapely.get_parts(shapes, return_index=True)
    corners, part = shapely.get_coordinates(parts, return_index=True)
    placed = corners.copy()
    if source != target:
        with without_session():
            placed = np.stack(reproject(source, target, *corners.T), axis=1)
    if width is not None:
        starts = np.searchsorted(part, np.arange(len(parts)))
        placed[:, 0] = _in_one_piece(placed[:, 0], corners[:, 0], part, width, source, extent)
        placed[:, 0] += width * _gathered(placed[:, 0], starts, owner, width, extent)[part]
        bounds = _bounds(placed[:, 0], np.searchsorted(owner[part], np.arange(len(shapes))))
        around = bounds[1] - bounds[0] >= width * (1 - _TINY)
    placed[np.isnan(placed).any(axis=1)] = np.inf
    found = shapely.set_coordinates(shapes.copy(), placed)
    if width is not None:
        for number in np.flatnonzero(around):
            found[number] = _thrice(found[number], width)
    return MapShapes(found, around, width)


def _in_one_piece(
    x: Floats, written: Floats, part: NDArray[np.int64], width: float, source: CRS, extent: Range
) -> Floats:
    """Return the corners' x so that no edge jumps to the map's other side.

    Args:
        x: (n,) in the map's CRS.
        written: (n,) in the labels' system.
        part: (n,) the polygon that each corner is of.
        width: of the map.
        source: the labels' system.
        extent: least and greatest x of the scene.
    """
    of_source = world_width(source)
    ahead = np.diff(written) * (width / of_source) if of_source else np.zeros(len(x) - 1)
    inside = np.diff(part) == 0
    ahead[~inside] = 0
    literal = _unrolled(x, part, ahead, width)
    long = np.zeros(part[-1] + 1, np.bool_)
    long[part[1:][np.abs(ahead) > width / 2 * (1 + _TINY)]] = True
    if long.any():
        west, east = _bounds(literal, np.searchsorted(part, np.arange(len(long))))
        margin = width * _TINY
        long &= ~((west >= extent[0] - margin) & (east <= extent[1] + margin))
        short = _unrolled(x, part, np.zeros(len(ahead)), width)
        literal = np.where(long[part], short, literal)
    return literal


def _unrolled(x: Floats, part: NDArray[np.int64], ahead: Floats, width: float) -> Floats:
    """Return x with each corner of a polygon as far from the one before as `ahead` has it."""
    turns = np.zeros(len(x))
    with np.errstate(invalid="ignore"):
        turns[1:] = np.nan_to_num(np.round((ahead - np.diff(x)) / width))
    turns[1:][np.diff(part) != 0] = 0
    turns = np.cumsum(turns)
    return np.asarray(x + width * (turns - turns[np.searchsorted(part, part)]))


def _gathered(
    x: Floats, starts: NDArray[np.int64], owner: NDArray[np.int64], width: float, extent: Range
) -> Floats:
    """Return by how many widths each polygon has to move to lie beside the first of its shape."""
    west, east = _bounds(x, starts)
    first = np.searchsorted(owner, owner)
    middle = (west + east) / 2
    with np.errstate(invalid="ignore"):
        turns = np.nan_to_num(np.round((middle[first] - middle) / width))
    if not turns.any():
        return turns
    # Two islands far apart stay as they are, if they lie so in the scene.
    whole_west, whole_east = (edge[owner] for edge in _bounds_of_shapes(west, east, owner))
    cut = whole_east - whole_west >= width * (1 - _TINY)
    there = (whole_west >= extent[0]) & (whole_east <= extent[1])
    return np.where(there & ~cut, 0, turns)


def _bounds_of_shapes(
    west: Floats, east: Floats, owner: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    starts = np.searchsorted(owner, np.arange(owner[-1] + 1))
    return np.minimum.reduceat(west, starts), np.maximum.reduceat(east, starts)


def _bounds(x: Floats, starts: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the least and the greatest x of each run of corners, NaN where one is NaN."""
    return np.minimum.reduceat(x, starts), np.maximum.reduceat(x, starts)


def _thrice(shape: Any, width: float) -> Any:
    """Return a shape that goes around the Earth without its ends."""
    copies = [shapely.affinity.translate(shape, k * width) for k in (-1, 0, 1)]
    return shapely.union_all(copies, grid_size=width * _FINE)
