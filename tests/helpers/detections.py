"""Detections drawn at random, and their comparison."""

import dataclasses

import numpy as np
import shapely

from swath.detection.detections import Detections


def some(count, tile, flags=0):
    rng = np.random.default_rng(tile)
    return Detections(
        rng.uniform(0, 100, (count, 4)),
        rng.uniform(0, 1, count).astype(np.float32),
        rng.integers(0, 3, count).astype(np.int16),
        np.full(count, tile, np.int64),
        np.full(count, flags, np.uint8),
    )


def outlined(count, tile, seed=0):
    """Detections with triangles, or triangles of two, in them."""
    plain = some(count, tile)
    rng = np.random.default_rng(seed)
    low, high = np.minimum(*np.split(plain.box, 2, 1)), np.maximum(*np.split(plain.box, 2, 1))
    corners = low[:, None] + rng.uniform(0, 1, (count, 6, 2)) * (high - low)[:, None]
    shapes = shapely.polygons(corners[:, :3])
    shapes[::3] = [
        shapely.MultiPolygon([shapely.Polygon(c[:3]), shapely.Polygon(c[3:])]) for c in corners[::3]
    ]
    return dataclasses.replace(plain, box=shapely.bounds(shapes).reshape(-1, 4), outline=shapes)


def assert_same(one, other):
    assert (one.outline is None) == (other.outline is None)
    if one.outline is not None:
        assert shapely.equals_exact(one.outline, other.outline).all()
    for name in ("box", "score", "label", "tile", "flags"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
