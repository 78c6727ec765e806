"""Tests of rings and shapes on Earth, against shapely and shapes that the tests cut at ±180."""

import numpy as np
import pytest
import shapely.affinity
from hypothesis import given
from hypothesis import strategies as st

from swath.raster.polygons import PolygonArray, extract_polygons, polygon_from_rings


def wrapped(ring):
    """Return the ring (n, 2) with longitudes in ±180."""
    ring = np.array(ring, float)
    return np.stack([(ring[:, 0] + 180) % 360 - 180, ring[:, 1]], axis=1)


def cut(shape):
    """Return the shape with its parts beyond ±180 moved to the other side."""
    parts = []
    for turn in (-1, 0, 1):
        world = shapely.box(360 * turn - 180, -90, 360 * turn + 180, 90)
        parts.append(shapely.transform(shape & world, lambda at, turn=turn: at - [360 * turn, 0]))
    return shapely.union_all(parts)


def rings_of(polygon):
    rings = (polygon.exterior, *polygon.interiors)
    return [wrapped(shapely.get_coordinates(ring)[:-1]) for ring in rings]


def quads(count):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-170, 170, count), rng.uniform(-80, 80, count)
    lon, lat = np.stack([x, x + 1, x + 2, x], 1), np.stack([y, y, y + 1, y + 1], 1)
    lon[::2], lat[::2] = lon[::2, ::-1], lat[::2, ::-1]
    return lon, lat


class TestPolygonArray:
    def test_rings_are_closed_and_counter_clockwise_from_their_first_corner(self):
        lon, lat = quads(10)

        places = PolygonArray.from_corners(lon, lat)

        polygons = places.to_shapely()
        assert shapely.is_ccw(shapely.get_exterior_ring(polygons)).all()
        assert shapely.equals(polygons, shapely.polygons(np.stack([lon, lat], -1))).all()
        np.testing.assert_array_equal(places.quads[:, 0], np.stack([lon, lat], -1)[:, 0])
        np.testing.assert_array_equal(places.bounds().T, shapely.bounds(polygons))
        assert places.coordinate_counts.tolist() == [5] * 10

    def test_rows_are_taken_and_put_together(self):
        rings = PolygonArray.from_corners(*quads(3))
        mixed = PolygonArray(
            rings.quads.copy(), np.array([None, shapely.box(0, 0, 1, 1), None], object)
        )
        mixed.quads[1:] = np.nan

        both = PolygonArray.concatenate([rings, mixed])

        assert both.is_valid.tolist() == [True, True, True, True, True, False]
        assert both.is_quad.tolist() == [True, True, True, True, False, False]
        assert both.take(both.is_valid).is_valid.all()
        assert len(both.take(slice(0, 2))) == 2
        assert both.to_shapely()[4] == shapely.box(0, 0, 1, 1)
        assert both.to_shapely()[5] is None
        np.testing.assert_array_equal(both.bounds().T[:5], shapely.bounds(both.to_shapely()[:5]))

    def test_none_at_all(self):
        empty = PolygonArray.empty(0)

        assert len(empty.to_shapely()) == len(empty.coordinate_counts) == len(empty.is_valid) == 0


class TestShapes:
    def test_an_edge_about_a_pole_is_straight_in_degrees(self):
        """Check an edge that meets the antimeridian between its ends' latitudes of 60 and 80."""
        ring = np.array([[-90, 70], [0, 70], [90, 70], [170, 60], [-170, 80], [-90, 70.0]])

        for sign in (1, -1):
            shape = polygon_from_rings([ring * [1, sign]])

            corners = shapely.get_coordinates(shape).tolist()
            assert [-180.0, 70.0 * sign] in corners
            assert [180.0, 70.0 * sign] in corners
            assert shape.is_valid

    @given(
        st.lists(st.tuples(st.integers(-6, 6), st.integers(-6, 6)), min_size=1, max_size=60),
        st.sampled_from([-540, -180.25, 0, 179.75, 180, 181, 360]),
        st.booleans(),
    )
    def test_are_cut_at_the_antimeridian_holes_and_all(self, pixels, middle, backward):
        blob = shapely.union_all([shapely.box(x, y, x + 1, y + 1) for x, y in pixels])
        for polygon in shapely.get_parts(blob):
            whole = shapely.affinity.translate(polygon, middle)
            rings = [ring[:: -1 if backward else 1] for ring in rings_of(whole)]

            found = polygon_from_rings(rings)

            near = shapely.transform(whole, lambda at: at - [360 * round(middle / 360), 0])
            assert found.is_valid
            assert found.symmetric_difference(cut(near)).area < 1e-6
            assert all(part.exterior.is_ccw for part in shapely.get_parts(found))
            assert -180 <= found.bounds[0] <= found.bounds[2] <= 180

    @pytest.mark.parametrize("pole", [-90, 90])
    @pytest.mark.parametrize("backward", [False, True])
    def test_around_a_pole_hold_it_but_not_their_holes(self, pole, backward):
        lon = np.arange(-180, 180, 10.0)[:: -1 if backward else 1]
        exterior = np.stack([lon, np.full_like(lon, np.sign(pole) * 80.0)], axis=1)
        hole = np.array([[10, 83], [20, 83], [20, 85], [10, 85]]) * [1, np.sign(pole)]

        found = polygon_from_rings([exterior, hole], (0, 0.99 * pole))

        assert found.is_valid
        assert found.area == pytest.approx(360 * 10 - 20)
        assert pole in (found.bounds[1], found.bounds[3])

    def test_that_cross_themselves_are_mended(self):
        bow = np.array([[179, 0], [-179, 2], [-179, 0], [179, 2]], float)

        found = polygon_from_rings([bow])

        assert found.is_valid
        assert found.area == pytest.approx(2)
        assert found.geom_type == "MultiPolygon"

    def test_that_fold_back_on_themselves_lose_the_fold(self):
        spike = np.array([[179, 0], [-179, 0], [-179, 2], [-170, 2], [-179, 2], [179, 2]], float)

        found = polygon_from_rings([spike])

        assert found.area == pytest.approx(4)
        assert found.bounds == (-180, 0, 180, 2)

    def test_that_have_no_extent_are_none(self):
        assert polygon_from_rings([np.array([[179.5, 0], [180, 0], [-179.5, 0]])]) is None


class TestPolygonsOnly:
    SQUARE = shapely.box(0, 0, 2, 1)
    FLAT = shapely.Polygon([(0, 0), (3, 3), (0, 0)])

    def test_leave_out_whatever_has_no_area(self):
        rest = [shapely.Point(5, 5), shapely.LineString([(0, 0), (9, 9)]), self.FLAT]

        assert extract_polygons(shapely.GeometryCollection([*rest, self.SQUARE])) == self.SQUARE
        assert extract_polygons(shapely.GeometryCollection(rest)) is None
        assert extract_polygons(shapely.MultiPolygon([self.FLAT])) is None

    def test_are_counter_clockwise_and_together(self):
        other = shapely.box(4, 4, 5, 5)
        found = extract_polygons(shapely.MultiPolygon([self.SQUARE.reverse(), other.reverse()]))

        assert found.geom_type == "MultiPolygon"
        assert all(part.exterior.is_ccw for part in found.geoms)
        assert found.area == 3
