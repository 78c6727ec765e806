"""Align an asset with the pixel grid of a run: positions in asset px, by axis.

A position along an axis in asset px is the position in grid px times a scale, plus an offset. Where
the scale is a ratio of small integers, as it is for bands of 10, 20 and 60 m, the positions repeat
with a period, which makes them exact and resampling fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import SceneError

if TYPE_CHECKING:
    from affine import Affine

    from swath._types import Floats, Ints
    from swath.raster.scene_info import ImageInfo

MAX_PERIOD = 64
"""Largest denominator of a scale that is treated as a ratio of integers."""
MAX_RATIO = 64
"""Largest ratio of the pixel sizes of an asset and the grid, in either direction."""
_MAX_ERROR_PX = 1e-3
"""Largest distance in px over the whole asset that is taken for the rounding of a header."""
_OFFSET_DENOMINATOR = 1000
"""Offsets that are this close to a fraction with a small denominator are taken to be it."""
_MAX_OFFSET_ERROR_PX = 1e-6


@dataclass(frozen=True, slots=True)
class Axis:
    """Positions of one axis of the grid in px of an asset: grid px * scale + offset."""

    scale: float
    """Size of a grid px in asset px."""
    offset: float
    """Position in asset px of the grid's first edge."""
    size: int
    """Length of the asset in px."""
    period: tuple[int, int] = (0, 0)
    """Numbers of grid px and of asset px after which positions repeat; 0, 0 if they do not."""

    @property
    def shift(self) -> int | None:
        """Offset in px if the pixels of grid and asset coincide; None if they do not."""
        return int(self.offset) if self.scale == 1 and self.offset.is_integer() else None

    def split(self, start: int, count: int, at: float) -> tuple[Ints, Floats]:
        """Return positions in asset px as whole numbers and the rest.

        The same pixel of the grid has bitwise the same position, whatever `start` is.

        Args:
            start: First px of the grid.
            count: Number of px.
            at: Position within a grid px, from 0 to 1: 0.5 for its center.

        Returns:
            Whole numbers int64 (count,), and remainders float64 (count,) from 0 to below 1.
        """
        index = np.arange(start, start + count, dtype=np.int64)
        step, jump = self.period
        if step:
            turn, phase = np.divmod(index, step)
            rest = (phase + at) * jump / step + self.offset
            whole = np.floor(rest)
            return turn * jump + whole.astype(np.int64), rest - whole
        position = (index + at) * self.scale + self.offset
        whole = np.floor(position)
        return whole.astype(np.int64), position - whole


@dataclass(frozen=True, slots=True)
class Alignment:
    """Positions of the pixels of a grid in px of an asset."""

    x: Axis
    y: Axis

    @property
    def coincides(self) -> bool:
        """Whether each pixel of the grid is a pixel of the asset, or lies outside it."""
        return self.x.shift is not None and self.y.shift is not None

    def scaled(self, x: float, y: float) -> Alignment:
        """Return the alignment with a grid whose pixels are x and y times as large."""
        if (x, y) == (1.0, 1.0):
            return self
        return Alignment(
            _axis(self.x.scale * x, self.x.offset, self.x.size),
            _axis(self.y.scale * y, self.y.offset, self.y.size),
        )


def align(asset: ImageInfo, grid: ImageInfo) -> Alignment:
    """Return the alignment of an asset with a grid.

    Args:
        asset: Header of the asset.
        grid: Size of the grid, and its location on Earth.

    Raises:
        SceneError: The two have other coordinate systems, one of them is rotated or has only
            ground control points and they are not the same grid, or their pixel sizes differ by
            more than `MAX_RATIO`.
    """
    if _have_equal_georeference(asset, grid):
        return Alignment(_same(asset.width), _same(asset.height))
    if asset.transform is None or grid.transform is None:
        raise SceneError(
            f"{asset.uri} has no geotransform and {grid.uri} is on another grid, so the two cannot "
            f"be aligned; {_warp_remedy(grid)}"
        )
    if asset.crs != grid.crs:
        raise SceneError(
            f"{asset.uri} has the coordinate reference system {_name(asset)} and {grid.uri} "
            f"{_name(grid)}; {_warp_remedy(grid)}"
        )
    scales, offsets = _relate(asset, grid, _grid_to_asset(asset.transform, grid.transform))
    return Alignment(
        _axis(scales[0], offsets[0], asset.width), _axis(scales[1], offsets[1], asset.height)
    )


def _have_equal_georeference(asset: ImageInfo, grid: ImageInfo) -> bool:
    return (
        (asset.width, asset.height) == (grid.width, grid.height)
        and asset.transform == grid.transform
        and asset.crs == grid.crs
        and [gcp.asdict() for gcp in asset.gcps] == [gcp.asdict() for gcp in grid.gcps]
    )


def _grid_to_asset(asset: Affine, grid: Affine) -> tuple[float, ...]:
    """Return the transform a, b, c, d, e, f from grid px to asset px.

    The origins are subtracted first, as coordinates of millions of meters cost digits.
    """
    inverse = [part / asset.determinant for part in (asset.e, -asset.b, -asset.d, asset.a)]
    x, y = grid.c - asset.c, grid.f - asset.f
    return (
        inverse[0] * grid.a + inverse[1] * grid.d,
        inverse[0] * grid.b + inverse[1] * grid.e,
        inverse[0] * x + inverse[1] * y,
        inverse[2] * grid.a + inverse[3] * grid.d,
        inverse[2] * grid.b + inverse[3] * grid.e,
        inverse[2] * x + inverse[3] * y,
    )


def _relate(
    asset: ImageInfo, grid: ImageInfo, matrix: Sequence[float]
) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return the scales and the offsets along x and y of a transform from grid px to asset px."""
    a, b, c, d, e, f = matrix
    if max(abs(b) * grid.height, abs(d) * grid.width) > _MAX_ERROR_PX or a <= 0 or e <= 0:
        raise SceneError(
            f"{asset.uri} is rotated or mirrored relative to {grid.uri}; {_warp_remedy(grid)}"
        )
    for ratio in (a, e):
        if not 1 / MAX_RATIO <= ratio <= MAX_RATIO:
            raise SceneError(
                f"{asset.uri} has pixels {max(ratio, 1 / ratio):.3g} times "
                f"{'smaller' if ratio > 1 else 'larger'} than the grid of {grid.uri}; the maximum "
                f"is {MAX_RATIO}: {_warp_remedy(grid)}"
            )
    return (a, e), (c, f)


def _axis(scale: float, offset: float, size: int) -> Axis:
    """Return an axis without the rounding errors of headers."""
    ratio = Fraction(scale).limit_denominator(MAX_PERIOD)
    length = max(size, size / scale)  # in px of the finer of the two
    if ratio and abs(float(ratio) - scale) * length <= _MAX_ERROR_PX * max(1.0, scale):
        exact = _exact_offset(offset, _MAX_ERROR_PX if ratio == 1 else _MAX_OFFSET_ERROR_PX)
        return Axis(float(ratio), exact, size, (ratio.denominator, ratio.numerator))
    return Axis(scale, _exact_offset(offset, _MAX_OFFSET_ERROR_PX), size)


def _exact_offset(offset: float, tolerance: float) -> float:
    near = round(offset)
    if abs(near - offset) <= tolerance:
        return float(near)
    simple = float(Fraction(offset).limit_denominator(_OFFSET_DENOMINATOR))
    return simple if abs(simple - offset) <= _MAX_OFFSET_ERROR_PX else offset


def _same(size: int) -> Axis:
    return Axis(1.0, 0.0, size, (1, 1))


def _name(image: ImageInfo) -> str:
    if image.crs is None:
        return "(none)"
    code = image.crs.to_epsg()
    return f"EPSG:{code}" if code else str(image.crs.to_wkt()).split('"')[1]


def _warp_remedy(grid: ImageInfo) -> str:
    code = grid.crs.to_epsg() if grid.crs else None
    target = f"EPSG:{code}" if code else "…"
    return f"warp it to the others' grid with gdalwarp -t_srs {target} in.tif out.tif"
