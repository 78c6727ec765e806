"""Scenes of every kind of place on Earth: what leaves swath is valid, within ±180 and ±90, and
holds the pixels that it was made of. The oracle is PROJ, asked for each pixel by itself."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine

from swath.footprint import footprint
from swath.georeference import Georeferencer
from swath.projection import LON_LAT
from swath.scene import Placed
from tests.fuzzing import draws

SINUSOIDAL = "+proj=sinu +lon_0=0 +x_0=0 +y_0=0 +R=6371007.181 +units=m +no_defs"
GEOSTATIONARY = "+proj=geos +h=35785831 +lon_0=-75 +sweep=x +ellps=GRS80 +units=m +no_defs"
TILE = 2 * math.pi * 6371007.181 / 36
SIDE = 60


def square(crs, x, y, pixel):
    """SIDE px a side about a position in the CRS."""
    half = SIDE / 2 * pixel
    return CRS.from_user_input(crs), Affine(pixel, 0, x - half, 0, -pixel, y + half)


def modis(h, v):
    """A tile of the sinusoidal grid."""
    x, y = (h - 18 + 0.5) * TILE, (8.5 - v) * TILE
    return square(SINUSOIDAL, x, y, TILE / SIDE)


SCENES = {
    "south pole": square("EPSG:3031", 0, 0, 1e4),
    "beside the south pole": square("EPSG:3031", 3.1e5, -2e5, 1e4),
    "antimeridian by the south pole": square("EPSG:3031", 0, -15e5, 1e4),
    "north pole": square("EPSG:3413", 370, -810, 3e3),
    "beside the north pole": square("EPSG:3413", -1e5, 1.017e5, 4e3),
    "north pole, equal area": square("EPSG:3571", 1e5, 1e5, 2e4),
    "half of the Earth about the pole": square("EPSG:3571", 0, 0, 2e5),
    "sinusoidal, at the pole": modis(18, 0),
    "sinusoidal, at the other pole": modis(17, 17),
    "sinusoidal, at the edge of the map": modis(35, 9),
    "sinusoidal, across the edge": modis(27, 3),
    "disc of the Earth": square(GEOSTATIONARY, 0, 0, 11e6 / SIDE),
    "limb": square(GEOSTATIONARY, 4.8e6, 1e6, 3e4),
    "from 0 to 360": square(LON_LAT, 180, 0, 3),
    "longitudes beyond 180": square(LON_LAT, 185, 10, 0.5),
    "half a pixel beyond the pole": square(LON_LAT, 20, 75.2, 0.5),
    "the whole Earth": (LON_LAT, Affine(6, 0, -180, 0, -3, 90)),
    "Mercator beyond 180": square("EPSG:3857", 20037508, 5e6, 2e4),
    "UTM across 180": square("EPSG:32601", 1.7e5, 7e6, 500),
    "far outside a UTM zone": square("EPSG:32633", 15e5, 75e5, 1000),
    "UTM, coarse": square("EPSG:32633", 5e5, 6e6, 2000),
    "rotated": (CRS.from_epsg(32633), Affine(300, 120, 4e5, 90, -280, 5e6)),
    "south-up": (CRS.from_epsg(32633), Affine(10, 0, 5e5, 0, 10, 5e6)),
}


def scene_of(crs, transform, gcps=()):
    return Placed(
        uri="x.tif", width=SIDE, height=SIDE, crs=crs, transform=transform, gcps=gcps, rpcs=False
    )


def by_points(count, first):
    """A scene by count by count ground control points, from a longitude on eastward."""
    along = np.linspace(0, SIDE, count)
    return scene_of(
        LON_LAT,
        None,
        tuple(
            GroundControlPoint(
                row=float(row),
                col=float(col),
                x=(first + col * 0.01 + 0.02 * math.sin(row / 20) + 180) % 360 - 180,
                y=60 - row * 0.01 + 0.02 * math.cos(col / 15),
            )
            for row in along
            for col in along
        ),
    )


KINDS = {
    **{name: scene_of(*where) for name, where in SCENES.items()},
    "9 points": by_points(3, 10),
    "9 points across 180": by_points(3, 179.7),
    "225 points across 180": by_points(15, 179.7),
    "1,089 points": by_points(33, 10),
}


@pytest.fixture(scope="module", params=KINDS, name="placed")
def _placed(request):
    scene = KINDS[request.param]
    return scene, Georeferencer.of(scene)


def check(shape):
    """Fail unless a geometry is one that GeoJSON and PostGIS take."""
    assert shapely.is_valid(shape), shapely.is_valid_reason(shape)
    assert shape.geom_type in {"Polygon", "MultiPolygon"}
    west, south, east, north = shape.bounds
    assert -180 <= west <= east <= 180
    assert -90 <= south <= north <= 90
    assert all(part.exterior.is_ccw for part in shapely.get_parts(shape))


def centres(scene, georeferencer, step=1):
    """Centres of pixels in px, and their lon and lat; without those that are nowhere."""
    x, y = (part.ravel() for part in np.meshgrid(*2 * [np.arange(step / 2, SIDE, step)]))
    lon, lat = georeferencer.points(x, y)
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
    x, y, lon, lat = centres(scene, georeferencer)
    x0, y0, x1, y1 = box
    inside = (x0 < x) & (x < x1) & (y0 < y) & (y < y1)

    (shape,) = georeferencer.polygons([box])

    if shape is None:
        assert inside.sum() <= (x1 - x0) + (y1 - y0)  # at most the pixels at its edge are there
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
    x, y, lon, lat = centres(scene, georeferencer)
    inside = shapely.contains_xy(whole, x, y)

    (shape,) = georeferencer.place(None, np.array([whole], object)).polygons()

    if shape is None:
        assert inside.sum() <= whole.length
        return
    check(shape)
    _agree(georeferencer, holds(shape, lon, lat), inside, x, y)


def _agree(georeferencer, found, expected, x, y):
    """Fail where a pixel is on the wrong side, unless it lies at an edge of what is on Earth."""
    wrong = np.flatnonzero(found != expected)
    lost = [
        i
        for i in wrong
        if np.isfinite(
            georeferencer.points(
                *np.meshgrid(x[i] + np.arange(-1.5, 2), y[i] + np.arange(-1.5, 2))
            )[0]
        ).all()
    ]
    assert not lost, [(x[i], y[i], bool(expected[i])) for i in lost[:5]]


def test_the_outline_of_the_scene_holds_its_pixels(placed):
    scene, georeferencer = placed
    x, y, lon, lat = centres(scene, georeferencer)

    outline = footprint(scene, georeferencer)

    check(outline)
    _agree(georeferencer, holds(outline, lon, lat), np.ones(len(x), bool), x, y)


def test_areas_are_those_on_the_ellipsoid(placed):
    """Of all pixels together and of the outline, in an equal-area projection of the Earth."""
    scene, georeferencer = placed
    x, y, _, _ = centres(scene, georeferencer)
    pixels = georeferencer.polygons(np.stack([x - 0.5, y - 0.5, x + 0.5, y + 0.5], axis=1))

    def area(shape):
        return 0 if shape is None else shapely.transform(shapely.segmentize(shape, 1), _flat).area

    outline = area(footprint(scene, georeferencer))

    # A pixel at the limb covers a great part of what is seen of the Earth, or none of it.
    tolerance = 0.03 if len(x) == SIDE * SIDE else 0.15
    assert sum(map(area, pixels)) == pytest.approx(outline, rel=tolerance)


def _flat(lon_lat):
    """Lambert's cylindrical equal-area projection of the sphere: areas in square radians."""
    return np.stack([np.radians(lon_lat[:, 0]), np.sin(np.radians(lon_lat[:, 1]))], axis=1)
