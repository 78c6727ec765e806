"""Tests of scenes of every kind of location on Earth: swath's geometries are valid and complete.

They lie in ±180 and ±90 degrees and contain the pixels of which they were made. The oracle is PROJ,
called for each pixel by itself.
"""

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from swath.raster.footprint import footprint
from swath.raster.georeference import Georeferencer
from tests.helpers.anywhere import KINDS, SIDE
from tests.helpers.fuzzing import draws


@pytest.fixture(scope="module", params=KINDS, name="placed")
def _placed(request):
    scene = KINDS[request.param]
    return scene, Georeferencer.from_info(scene)


def check(shape):
    """Check that GeoJSON and PostGIS accept a geometry."""
    assert shapely.is_valid(shape), shapely.is_valid_reason(shape)
    assert shape.geom_type in {"Polygon", "MultiPolygon"}
    west, south, east, north = shape.bounds
    assert -180 <= west <= east <= 180
    assert -90 <= south <= north <= 90
    assert all(part.exterior.is_ccw for part in shapely.get_parts(shape))


def centers(scene, georeferencer, step=1):
    """Return x, y in px and lon, lat of pixel centers, without those that have no position."""
    x, y = (part.ravel() for part in np.meshgrid(*2 * [np.arange(step / 2, SIDE, step)]))
    lon, lat = georeferencer.to_lonlat(x, y)
    there = np.isfinite(lon)
    return x[there], y[there], lon[there], lat[there]


def holds(shape, lon, lat):
    return shapely.contains_xy(shape, lon, lat)


shapes = st.tuples(
    st.integers(0, SIDE - 2),
    st.integers(0, SIDE - 2),
    st.integers(1, SIDE),
    st.integers(1, SIDE),
).map(lambda s: (s[0], s[1], min(SIDE, s[0] + s[2]), min(SIDE, s[1] + s[3])))


@pytest.mark.fuzz
@settings(
    max_examples=draws(12, fuzz=600),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(box=shapes)
def test_a_box_holds_its_pixels_and_no_others(placed, box):
    scene, georeferencer = placed
    x, y, lon, lat = centers(scene, georeferencer)
    x0, y0, x1, y1 = box
    inside = (x0 < x) & (x < x1) & (y0 < y) & (y < y1)

    (shape,) = georeferencer.to_polygons([box]).to_shapely()

    if shape is None:
        # at most the pixels at its edge have a position
        assert inside.sum() <= (x1 - x0) + (y1 - y0)
        return
    check(shape)
    _agree(georeferencer, holds(shape, lon, lat), inside, x, y)


@pytest.mark.fuzz
@settings(
    max_examples=draws(8, fuzz=400),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(box=shapes, holes=st.lists(shapes, max_size=6))
def test_an_outline_with_holes_holds_its_pixels_and_no_others(placed, box, holes):
    scene, georeferencer = placed
    whole = shapely.box(*box)
    for hole in holes:
        x0, y0, x1, y1 = hole
        whole = shapely.difference(
            whole, shapely.box(x0, y0, (x0 + x1 + 1) // 2, (y0 + y1 + 1) // 2)
        )
    parts = [part for part in shapely.get_parts(whole) if part.area]
    if not parts:
        return
    whole = shapely.multipolygons(parts)
    x, y, lon, lat = centers(scene, georeferencer)
    inside = shapely.contains_xy(whole, x, y)

    (shape,) = georeferencer.to_polygons(None, np.array([whole], object)).to_shapely()

    if shape is None:
        assert inside.sum() <= whole.length
        return
    check(shape)
    _agree(georeferencer, holds(shape, lon, lat), inside, x, y)


def _agree(georeferencer, found, expected, x, y):
    """Check that no pixel is on the wrong side, unless it lies at an edge of the part on Earth."""
    wrong = np.flatnonzero(found != expected)
    lost = [
        i
        for i in wrong
        if np.isfinite(
            georeferencer.to_lonlat(
                *np.meshgrid(x[i] + np.arange(-1.5, 2), y[i] + np.arange(-1.5, 2))
            )[0]
        ).all()
    ]
    assert not lost, [(x[i], y[i], bool(expected[i])) for i in lost[:5]]


def test_the_outline_of_the_scene_holds_its_pixels(placed):
    scene, georeferencer = placed
    x, y, lon, lat = centers(scene, georeferencer)

    outline = footprint(scene, georeferencer)

    check(outline)
    _agree(georeferencer, holds(outline, lon, lat), np.ones(len(x), bool), x, y)


def test_areas_are_those_on_the_ellipsoid(placed):
    """Check the area of all pixels and of the outline, in an equal-area projection of the Earth."""
    scene, georeferencer = placed
    x, y, _, _ = centers(scene, georeferencer)
    pixels = georeferencer.to_polygons(
        np.stack([x - 0.5, y - 0.5, x + 0.5, y + 0.5], axis=1)
    ).to_shapely()

    def area(shape):
        return 0 if shape is None else shapely.transform(shapely.segmentize(shape, 1), _flat).area

    outline = area(footprint(scene, georeferencer))

    # A pixel at the limb covers a great part of the visible Earth, or none of it.
    tolerance = 0.03 if len(x) == SIDE * SIDE else 0.15
    assert sum(map(area, pixels)) == pytest.approx(outline, rel=tolerance)


def _flat(lon_lat):
    """Project to Lambert's cylindrical equal-area projection: areas in square radians."""
    return np.stack([np.radians(lon_lat[:, 0]), np.sin(np.radians(lon_lat[:, 1]))], axis=1)
