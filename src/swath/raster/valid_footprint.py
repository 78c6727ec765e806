"""Compute the footprint and the area on Earth of a scene's valid pixels.

The footprint is an outline of cells: exact for a scene of up to 2048 px a side, coarse for others.
The area is not that of the footprint: each cell counts by its share of valid pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine
from rasterio.features import shapes

from swath.raster.ellipsoid import signed_ring_areas
from swath.raster.footprint import footprint, outline_to_lonlat
from swath.raster.polygons import to_multipolygon

if TYPE_CHECKING:
    from swath._types import Floats, Ints, Mask
    from swath.raster.georeference import Georeferencer
    from swath.raster.invalid_cells import InvalidCells
    from swath.raster.scene_info import ImageInfo

MAX_CORNERS = 2000
"""Largest number of corners of a footprint; for one with more, larger cells are used."""
MAX_EXACT_CORNERS = 500
"""Largest number of corners of a footprint that is not simplified."""
MIN_HOLE_CELLS = 16
"""Least area in cells of a hole in the footprint; smaller ones are filled."""
_MAX_CELL_EDGES = 50_000
"""Largest number of edges between valid and invalid cells that are traced at once."""
_BLOCKS = 256
"""Largest number of blocks along a side of a scene, within which pixels have one size."""
_MIN_PIECES = 64
"""Least number of pieces along a side of a scene whose areas are computed."""
_PIECES_AT_ONCE = 1024
"""Number of pieces whose areas are computed at once, in less than 1 MB."""
_MAX_SPLITS = 8
"""Number of times that a piece is halved, on both sides, if a part of it is not on Earth."""
_CORNER_X, _CORNER_Y = np.array([0, 1, 1, 0]), np.array([1, 1, 0, 0])
"""Corners of a piece, counter-clockwise on a north-up map."""


def valid_footprint(
    scene: ImageInfo, georeferencer: Georeferencer, invalid: InvalidCells
) -> shapely.Geometry:
    """Return the footprint of a scene's valid pixels in EPSG:4326, split at the antimeridian.

    The footprint contains each cell with a valid pixel. An outline of more than `MAX_EXACT_CORNERS`
    corners is simplified, by which it moves by at most one cell. If it still has more than
    `MAX_CORNERS`, cells of twice the size are used, and so on. Holes smaller than
    `MIN_HOLE_CELLS` are filled.

    Args:
        scene: Size and georeference of the scene.
        georeferencer: Georeference of the scene.
        invalid: Counts of the scene's invalid pixels.

    Returns:
        Polygon or MultiPolygon (lon, lat); an empty Polygon if no pixel is valid. The outline of
        the scene if every pixel is valid.

    Raises:
        SceneError: The scene has no outline, as its ground control points contradict each other.
    """
    whole = footprint(scene, georeferencer)
    if invalid.counts is None:
        return whole
    outline = valid_outline(invalid)
    if outline.is_empty:
        return shapely.Polygon()
    return outline_to_lonlat(outline, scene, georeferencer)


def valid_outline(invalid: InvalidCells) -> shapely.Geometry:
    """Return the outline in scene px of the cells with a valid pixel, as `valid_footprint` has it.

    Returns:
        MultiPolygon in scene px; empty if no pixel is valid.
    """
    grid = invalid.grid
    heights, widths = grid.sides
    scene = shapely.box(0, 0, grid.width, grid.height)
    if invalid.counts is None:
        return shapely.MultiPolygon([scene])
    has_valid = invalid.counts < np.multiply.outer(heights, widths)
    size = grid.size
    while True:
        if _count_edges(has_valid) <= _MAX_CELL_EDGES:
            outline = shapely.intersection(_trace(has_valid, size), scene)
            if shapely.get_num_coordinates(outline) <= MAX_CORNERS:
                return to_multipolygon(outline)
        has_valid, size = _halve(has_valid), 2 * size


def _count_edges(mask: Mask) -> int:
    """Return the number of edges between cells that are True and cells that are False."""
    return int(np.count_nonzero(np.diff(mask, axis=0)) + np.count_nonzero(np.diff(mask, axis=1)))


def _halve(mask: Mask) -> Mask:
    """Return a mask of cells of twice the size, True where any of the four cells is."""
    rows, columns = mask.shape
    padded = np.pad(mask, ((0, rows % 2), (0, columns % 2)))
    return np.asarray(padded[::2, ::2] | padded[1::2, ::2] | padded[::2, 1::2] | padded[1::2, 1::2])


def _trace(mask: Mask, size: int) -> shapely.Geometry:
    """Return the outline in px of the cells that are True, (rows, cols), of `size` px each."""
    traced = shapes(mask.astype(np.uint8), mask=mask, transform=Affine.scale(size))
    polygons = [_fill_small_holes(shapely.geometry.shape(shape), size) for shape, _ in traced]
    outline = shapely.union_all(polygons) if polygons else shapely.MultiPolygon()
    if shapely.get_num_coordinates(outline) > MAX_EXACT_CORNERS:
        outline = shapely.union_all(to_multipolygon(shapely.simplify(outline, size)))
    return outline


def _fill_small_holes(polygon: shapely.Polygon, size: int) -> shapely.Polygon:
    least = MIN_HOLE_CELLS * size * size
    holes = [ring for ring in polygon.interiors if shapely.Polygon(ring).area >= least]
    return shapely.Polygon(polygon.exterior, holes)


def valid_area(georeferencer: Georeferencer, invalid: InvalidCells) -> float:
    """Return the area in m² of a scene's valid pixels on the ellipsoid.

    The scene is divided into blocks of cells, and each block counts by its share of valid pixels.
    Pixels beyond one turn around the Earth, and those not on Earth, do not count.

    Args:
        georeferencer: Georeference of the scene.
        invalid: Counts of the scene's invalid pixels.
    """
    grid = invalid.grid
    blocks = 1 if invalid.counts is None else _BLOCKS
    rows, columns = (_block_starts(count, blocks) for count in grid.shape)
    y, x = rows * grid.size, columns * grid.size
    edges_y, first_y = _divide(np.append(y, grid.height).astype(np.float64))
    edges_x, first_x = _divide(np.append(x, grid.width).astype(np.float64))
    edges_x = np.minimum(edges_x, georeferencer.turn_px)
    step = max(1, _PIECES_AT_ONCE // (len(edges_x) - 1))
    areas = np.concatenate(
        [
            _piece_areas(georeferencer, edges_x, edges_y[start : start + step + 1])
            for start in range(0, len(edges_y) - 1, step)
        ]
    )
    areas = np.add.reduceat(np.add.reduceat(areas, first_x, axis=1), first_y, axis=0)
    if invalid.counts is None:
        return abs(float(areas.sum()))
    counts = np.add.reduceat(invalid.counts, columns, axis=1, dtype=np.int64)
    counts = np.add.reduceat(counts, rows, axis=0)
    sides = np.diff(np.append(y, grid.height)), np.diff(np.append(x, grid.width))
    share = 1 - counts / np.multiply.outer(*sides)
    return abs(float((areas * share).sum()))


def _block_starts(cells: int, blocks: int) -> Ints:
    """Return the first cell of each block along a side of `cells` cells, at most `blocks`."""
    return np.arange(0, cells, -(-cells // blocks), dtype=np.int64)


def _divide(edges: Floats) -> tuple[Floats, Ints]:
    """Divide blocks along a side into `_MIN_PIECES` pieces at least.

    Args:
        edges: Edges of n blocks in px, (n + 1,).

    Returns:
        Edges of the pieces, and the index of each block's first piece, (n,).
    """
    count = len(edges) - 1
    pieces = -(-_MIN_PIECES // count)
    at = np.arange(count * pieces + 1) / pieces
    return np.interp(at, np.arange(count + 1), edges), np.arange(count) * pieces


def _piece_areas(georeferencer: Georeferencer, x: Floats, y: Floats) -> Floats:
    """Return the signed areas (rows, cols) in m² of the pieces between edges in px.

    Args:
        georeferencer: Georeference of the scene.
        x: Edges along x in px, (cols + 1,).
        y: Edges along y in px, (rows + 1,).
    """
    lon, lat = georeferencer.to_lonlat(x, y[:, None])
    corners = [
        np.s_[j : len(y) - 1 + j, i : len(x) - 1 + i]
        for i, j in zip(_CORNER_X, _CORNER_Y, strict=True)
    ]
    rings = [np.stack([values[part].ravel() for part in corners], 1) for values in (lon, lat)]
    areas = signed_ring_areas(*rings)
    missing = np.flatnonzero(np.isnan(areas))
    areas[missing] = 0
    at_row, at_column = np.divmod(missing, len(x) - 1)
    low = np.stack([x[at_column], y[at_row]], 1)
    side = np.stack([x[at_column + 1], y[at_row + 1]], 1) - low
    for _ in range(_MAX_SPLITS):
        if not len(missing):
            break
        # Each piece becomes four.
        missing, side = np.repeat(missing, 4), np.repeat(side / 2, 4, axis=0)
        quarter = np.tile([[0, 0], [1, 0], [0, 1], [1, 1]], (len(low), 1))
        low = np.repeat(low, 4, axis=0) + quarter * side
        corner_x = low[:, :1] + side[:, :1] * _CORNER_X
        corner_y = low[:, 1:] + side[:, 1:] * _CORNER_Y
        lon, lat = georeferencer.to_lonlat(corner_x, corner_y)
        parts = signed_ring_areas(lon, lat)
        on_earth = np.isfinite(parts)
        np.add.at(areas, missing[on_earth], parts[on_earth])
        # A piece without a corner on Earth is not split, as the first ones are small already.
        partly = ~on_earth & np.isfinite(lon).any(axis=1)
        missing, low, side = missing[partly], low[partly], side[partly]
    return areas.reshape(len(y) - 1, len(x) - 1)
