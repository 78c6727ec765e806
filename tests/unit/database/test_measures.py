"""Tests of measures on the ellipsoid, against GeographicLib, PostGIS and tiles' definition."""

import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from pyproj import Geod

from swath.database.measures import CELL_ZOOM, cell_numbers, measure, to_equal_area

GEOD = Geod(ellps="WGS84")
LAT = st.floats(-80, 80)
LON = st.floats(-179, 179)
SIDE = st.floats(2, 5000)
ANGLE = st.floats(0, 180)


def measured(*geometries):
    wkb = [shapely.to_wkb(geometry, byte_order=1) for geometry in geometries]
    return measure(np.frombuffer(b"".join(wkb), np.uint8), np.array(list(map(len, wkb)), int))


def on_ground(lon, lat, offsets):
    """Return a polygon whose corners are given in m from a position, by geodesics."""
    points = [
        GEOD.fwd(lon, lat, math.degrees(math.atan2(x, y)), math.hypot(x, y))[:2] for x, y in offsets
    ]
    return shapely.Polygon(points)


def rectangle(lon, lat, length, width, angle):
    """Return a rectangle on the ground."""
    s, c = math.sin(math.radians(angle)), math.cos(math.radians(angle))
    corners = [(-length, -width), (length, -width), (length, width), (-length, width)]
    return on_ground(lon, lat, [((x * c - y * s) / 2, (x * s + y * c) / 2) for x, y in corners])


@given(LON, LAT, SIDE, SIDE, ANGLE)
def test_rectangles_have_their_area_and_length(lon, lat, length, width, angle):
    found = measured(rectangle(lon, lat, length, width, angle))
    area = abs(GEOD.geometry_area_perimeter(rectangle(lon, lat, length, width, angle))[0])
    assert found.area_m2[0] == pytest.approx(area, rel=1e-4)
    assert found.area_m2[0] == pytest.approx(length * width, rel=1e-3)
    assert found.length_m[0] == pytest.approx(max(length, width), rel=3e-3)


@given(LON, LAT, st.lists(st.tuples(SIDE, st.floats(0, 360)), min_size=3, max_size=12))
def test_any_polygon_has_its_area_and_length(lon, lat, spokes):
    """Check stars around a position against GeographicLib and shapely."""
    offsets = [
        (radius * math.cos(math.radians(a)), radius * math.sin(math.radians(a)))
        for a, radius in sorted({angle: radius for radius, angle in spokes}.items())
    ]
    flat = shapely.Polygon(offsets) if len(offsets) > 2 else shapely.Polygon()
    assume(flat.is_valid and flat.area > 1 and flat.area > 0.05 * flat.envelope.area)
    outline = on_ground(lon, lat, offsets)
    found = measured(outline)
    area = abs(GEOD.geometry_area_perimeter(outline)[0])
    # The area of a sliver is a small difference of large ones, hence the share of its length.
    reach = max(radius for radius, _ in spokes)
    assert found.area_m2[0] == pytest.approx(area, rel=1e-4, abs=1e-9 * reach**2)
    # Two rectangles may be equally small and differ in length, so their area is compared.
    smallest = shapely.oriented_envelope(flat).area
    hull = shapely.get_coordinates(shapely.convex_hull(flat))
    areas, lengths = zip(*(around(hull, edge) for edge in np.diff(hull, axis=0)), strict=True)
    assert min(areas) == pytest.approx(smallest, rel=1e-6)
    near = [length for a, length in zip(areas, lengths, strict=True) if a <= smallest * 1.01]
    assert any(found.length_m[0] == pytest.approx(length, rel=3e-3) for length in near)


def around(points, direction):
    """Return area and longer side of the rectangle around points along a direction."""
    along = direction / np.hypot(*direction)
    sides = np.ptp(points @ along), np.ptp(points @ [-along[1], along[0]])
    return sides[0] * sides[1], max(sides)


@given(LON, LAT, SIDE, SIDE, ANGLE)
def test_both_ways_to_measure_agree(lon, lat, length, width, angle):
    """Check four corners, which NumPy measures, against a repeated one, for which shapely does."""
    quad = rectangle(lon, lat, length, width, angle)
    corners = shapely.get_coordinates(quad)
    five = shapely.Polygon([corners[0], *corners])
    found = measured(quad, five, shapely.MultiPolygon([quad]))
    assert len(set(found.cell.tolist())) == 1
    np.testing.assert_allclose(found.area_m2[1:], found.area_m2[0], rtol=1e-5)
    np.testing.assert_allclose(found.length_m[1:], found.length_m[0], rtol=1e-5)


def test_the_area_of_a_cap_around_a_pole_is_that_of_the_ellipsoid():
    center = np.array([[0.0], [90.0]])
    x, y = to_equal_area(np.linspace(-180, 180, 3601)[:, None], np.full((3601, 1), 10.0), center)
    found = shapely.Polygon(np.column_stack([x[:, 0], y[:, 0]])).area
    expected = abs(GEOD.polygon_area_perimeter(np.linspace(-180, 180, 3601)[:-1], [10.0] * 3600)[0])
    assert found == pytest.approx(expected, rel=1e-5)


def test_holes_do_not_count():
    outer, inner = shapely.box(0, 0, 0.1, 0.1), shapely.box(0.02, 0.02, 0.05, 0.05)
    found = measured(shapely.difference(outer, inner), outer, inner)
    assert found.area_m2[0] == pytest.approx(found.area_m2[1] - found.area_m2[2], rel=1e-6)


def test_a_rectangle_over_the_antimeridian_is_measured_as_elsewhere():
    split = shapely.MultiPolygon(
        [shapely.box(179.99, 1, 180, 1.01), shapely.box(-180, 1, -179.97, 1.01)]
    )
    whole = shapely.box(19.99, 1, 20.03, 1.01)
    found = measured(split, whole)
    assert found.area_m2[0] == pytest.approx(found.area_m2[1], rel=1e-6)
    assert found.length_m[0] == pytest.approx(found.length_m[1], rel=1e-6)
    # The part to the east of the antimeridian is the larger one.
    assert found.cell[0] == cell_numbers(np.array([-179.985]), np.array([1.005]))[0]


@pytest.mark.parametrize(
    "geometry",
    [
        shapely.Point(3, 4),
        shapely.LineString([(3, 4), (3.001, 4)]),
        shapely.Polygon([(3, 4), (3.001, 4), (3.002, 4), (3, 4)]),
        shapely.Polygon([(3, 4), (3, 4), (3, 4), (3, 4), (3, 4)]),
        shapely.Polygon([(3, 4), (3.001, 4), (3.002, 4), (3.001, 4), (3, 4)]),
    ],
)
def test_what_is_flat_has_no_area(geometry):
    found = measured(geometry)
    width = geometry.bounds[2] - geometry.bounds[0]
    expected = GEOD.line_length([3, 3 + width], [4, 4])
    assert found.area_m2[0] < 0.1
    assert found.length_m[0] == pytest.approx(expected, rel=1e-4)


def test_a_quad_that_is_not_convex_is_measured_as_by_shapely():
    quad = shapely.Polygon([(0, 0), (0.02, 0), (0.003, 0.004), (0, 0.01)])
    corners = shapely.get_coordinates(quad)
    five = shapely.Polygon([*corners[:2], (corners[1] + corners[2]) / 2, *corners[2:]])
    found = measured(quad, five)
    np.testing.assert_allclose(found.area_m2[1], found.area_m2[0], rtol=1e-6)
    np.testing.assert_allclose(found.length_m[1], found.length_m[0], rtol=1e-6)


def test_an_empty_geometry_is_refused():
    with pytest.raises(ValueError, match="empty"):
        measured(shapely.box(0, 0, 1, 1), shapely.Polygon())


def test_nothing_is_measured_without_geometries():
    assert len(measured().cell) == 0


def tile(lon, lat, zoom):
    """Return the Web Mercator tile of a position, by the definition of the tiles."""
    n = 1 << zoom
    phi = math.radians(lat)
    x = (lon + 180) / 360 * n
    y = (1 - math.log(math.tan(phi) + 1 / math.cos(phi)) / math.pi) / 2 * n
    return math.floor(x), math.floor(y)


def morton(x, y):
    return sum(((x >> i & 1) << 2 * i) | ((y >> i & 1) << 2 * i + 1) for i in range(CELL_ZOOM))


@given(st.floats(-179.99, 179.99), st.floats(-85, 85), st.integers(0, 22))
def test_the_cells_of_a_tile_are_one_range(lon, lat, zoom):
    """Check all tiles but those whose edge is nearer than the rounding of a position."""
    x, y = tile(lon, lat, zoom)
    if (x, y) != tile(lon + 1e-9, lat - 1e-9, zoom) or (x, y) != tile(lon - 1e-9, lat + 1e-9, zoom):
        return
    cell = int(cell_numbers(np.array([lon]), np.array([lat]))[0])
    first = morton(x, y) << 2 * (CELL_ZOOM - zoom)
    assert first <= cell < first + (1 << 2 * (CELL_ZOOM - zoom))


@pytest.mark.parametrize(
    ("lon", "lat", "x", "y"),
    [(-180, 90, 0, 0), (180, 90, 2**26 - 1, 0), (-180, -90, 0, 2**26 - 1), (0, 0, 2**25, 2**25)],
)
def test_cells_beyond_the_tiles_are_those_at_the_edge(lon, lat, x, y):
    cell = cell_numbers(np.array([float(lon)]), np.array([float(lat)]))
    assert cell.tolist() == [morton(x, y)]


def test_postgis_measures_the_same(connection):
    """Check area on the spheroid, and the tile that contains the center, for many boxes."""
    rng = np.random.default_rng(5)
    shapes = [
        rectangle(lon, lat, *rng.uniform(5, 500, 2), angle)
        for lon, lat, angle in zip(
            rng.uniform(-179, 179, 500), rng.uniform(-80, 80, 500), rng.uniform(0, 180, 500),
            strict=True,
        )
    ]  # fmt: skip
    found = measured(*shapes)
    areas = connection.execute(
        "SELECT ST_Area(ST_SetSRID(ST_GeomFromWKB(wkb), 4326)::geography)"
        " FROM unnest(%s::bytea[]) AS given (wkb)",
        [[shapely.to_wkb(shape) for shape in shapes]],
    ).fetchall()
    np.testing.assert_allclose(found.area_m2, np.array(areas)[:, 0], rtol=1e-5)
    outside = connection.execute(
        "SELECT count(*) FROM unnest(%s::bytea[], %s::int[], %s::int[]) AS given (wkb, x, y)"
        " WHERE NOT ST_Intersects(ST_Transform(ST_SetSRID(ST_MakePoint("
        " (ST_XMin(wkb::geometry) + ST_XMax(wkb::geometry)) / 2,"
        " (ST_YMin(wkb::geometry) + ST_YMax(wkb::geometry)) / 2), 4326), 3857),"
        " ST_TileEnvelope(20, x, y))",
        [[shapely.to_wkb(shape) for shape in shapes], *tiles_of(found.cell >> 2 * 6)],
    ).fetchone()
    assert outside == (0,)


def tiles_of(cells):
    """Return the columns and rows of Morton codes."""
    bits = np.arange(CELL_ZOOM)
    return [
        ((cells[:, None] >> (2 * bits + odd) & 1) << bits).sum(axis=1).tolist() for odd in (0, 1)
    ]
