"""Tests of georeferencing, against known positions, rasterio's own transforms, and shapely."""

import dataclasses
import json

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform

from swath.detection.detections import boxes_to_polygons
from swath.errors import SceneError
from swath.messages import Georeference
from swath.raster.georeference import Georeferencer
from swath.raster.scene import open_scene
from swath.raster.scene_info import ImageInfo, SceneInfo
from tests.helpers.anywhere import SIDE, GeoreferencedScene
from tests.helpers.georeferences import assert_same_georeference
from tests.helpers.rasters import NORTH_UP

BLANK = SceneInfo(
    uri="x.tif",
    width=1000,
    height=800,
    count=1,
    dtype="uint8",
    band_names=(None,),
    colors=(None,),
    nodata=(None,),
    masked=False,
    crs=CRS.from_epsg(32633),
    transform=NORTH_UP,
    gcps=(),
    rpcs=False,
    block_shape=(1, 1000),
    units=(None,),
)
LON_LAT = CRS.from_epsg(4326)
UTM_60N = CRS.from_epsg(32660)
NORTH_POLAR = CRS.from_epsg(3413)
SOUTH_POLAR = CRS.from_epsg(3031)


def georeferencer(**changes):
    return Georeferencer.from_info(dataclasses.replace(BLANK, **changes))


def corners_of(affine, crs, box):
    """Return a box's corners by rasterio and PROJ, one by one."""
    x0, y0, x1, y1 = box
    places = [affine @ corner for corner in ((x0, y0), (x1, y0), (x1, y1), (x0, y1))]
    lon, lat = transform(crs, LON_LAT, *zip(*places, strict=True))
    return shapely.Polygon(zip(lon, lat, strict=True))


class TestToLonLat:
    def test_the_origin_of_a_utm_zone(self):
        lon, lat = georeferencer(
            transform=Affine(10, 0, 500_000, 0, -10, 0), crs=CRS.from_epsg(32633)
        ).to_lonlat([0, 0], [0, -100])

        np.testing.assert_allclose(lon, [15, 15], atol=1e-9)
        np.testing.assert_allclose(lat, [0, 0.0090473], atol=1e-6)

    def test_are_shaped_like_what_is_asked(self):
        lon, lat = georeferencer().to_lonlat(np.zeros((2, 1, 3)), np.zeros((4, 1)))

        assert lon.shape == lat.shape == (2, 4, 3)

    def test_of_many_are_the_positions_of_each(self, monkeypatch):
        x, y = np.random.default_rng(0).random((2, 50)) * 800
        whole = georeferencer().to_lonlat(x, y)
        monkeypatch.setattr("swath.raster.georeference._POSITIONS_PER_BATCH", 7)

        np.testing.assert_array_equal(georeferencer().to_lonlat(x, y), whole)

    def test_no_session_of_aws_is_begun_for_them(self, monkeypatch):
        """Check that no AWS session starts.

        rasterio starts one for each call, which takes longer than all the arithmetic.
        """

        def begin(*_, **__):
            raise AssertionError("a session of AWS")

        found = georeferencer()
        monkeypatch.setattr("boto3.Session", begin)
        monkeypatch.setattr("boto3.session.Session", begin)

        assert np.isfinite(found.to_lonlat([1], [2])).all()

    def test_are_converted_back_only_in_maps_with_an_edge_in_sight(self, monkeypatch):
        def ask(*_):
            raise AssertionError("converted back")

        found = georeferencer(crs=LON_LAT, transform=Affine(0.01, 0, 5, 0, -0.01, 50))
        monkeypatch.setattr(Georeferencer, "_round_trips", ask)

        assert np.isfinite(found.to_lonlat([1], [2])).all()

    def test_of_none(self):
        assert georeferencer().to_lonlat([], [])[0].shape == (0,)

    def test_longitudes_beyond_180_come_round(self):
        lon, _ = georeferencer(crs=LON_LAT, transform=Affine(0.5, 0, 170, 0, -0.5, 10)).to_lonlat(
            [0, 19, 21, 30], [0, 0, 0, 0]
        )

        np.testing.assert_allclose(lon, [170, 179.5, -179.5, -175])

    def test_a_global_grid_that_sticks_out_over_the_poles(self):
        """Check a grid whose first pixel has its center on the pole."""
        grid = georeferencer(
            crs=LON_LAT, transform=Affine(1, 0, -180, 0, -1, 90.5), width=360, height=181
        )

        assert grid.to_lonlat([5], [0])[1] == 90
        assert grid.to_lonlat([5], [181])[1] == -90

    def test_off_the_disc_of_a_geostationary_image_are_nowhere(self, data):
        with open_scene(str(data / "scenes" / "rasterio" / "goes.tif")) as scene:
            found = Georeferencer.from_info(scene.info)

        lon, lat = found.to_lonlat([0, 271, 541], [0, 271, 0])

        assert np.isnan(lon).tolist() == np.isnan(lat).tolist() == [True, False, True]
        assert lon[1] == pytest.approx(-75, abs=0.1)


class TestPolygons:
    @pytest.mark.parametrize(
        "affine",
        [
            NORTH_UP,
            Affine(10, 0, 5e5, 0, 10, 5e6),
            Affine.translation(5e5, 5e6) @ Affine.rotation(33) @ Affine.scale(10, -10),
            Affine.translation(5e5, 5e6) @ Affine.rotation(200) @ Affine.scale(3, 7),
            Affine(10, 2, 5e5, 1, -10, 5e6),
        ],
        ids=["north-up", "south-up", "rotated", "rotated-south-up", "sheared"],
    )
    def test_by_any_affine_are_where_rasterio_says(self, affine):
        boxes = [[0, 0, 800, 700], [10.5, 20.25, 30, 45], [999, 799, 1000, 800]]

        polygons = georeferencer(transform=affine).to_polygons(boxes).to_shapely()

        for box, polygon in zip(boxes, polygons, strict=True):
            expected = corners_of(affine, BLANK.crs, box)
            assert polygon.normalize().equals_exact(expected.normalize(), 1e-9)
            assert polygon.exterior.is_ccw

    @given(
        st.sampled_from([32601, 32660, 3857, 3413, 3031, 2193, 5070]),
        st.floats(0, 360),
        st.booleans(),
        st.lists(st.tuples(st.floats(0, 900), st.floats(0, 700)), max_size=5),
    )
    def test_are_valid_counter_clockwise_and_whole(self, epsg, angle, south_up, corners):
        crs = CRS.from_epsg(epsg)
        middle = [c[0] for c in transform(LON_LAT, crs, *_somewhere(epsg))]
        affine = Affine.translation(*middle) @ Affine.rotation(angle)
        affine @= Affine.scale(10, 10 if south_up else -10)
        boxes = np.array([[x, y, x + 40, y + 30] for x, y in corners]).reshape(-1, 4)

        polygons = georeferencer(crs=crs, transform=affine).to_polygons(boxes).to_shapely()

        assert len(polygons) == len(boxes)
        for polygon in polygons:
            assert polygon.is_valid
            assert -180 <= polygon.bounds[0] < polygon.bounds[2] <= 180
            assert all(part.exterior.is_ccw for part in shapely.get_parts(polygon))
            assert 0 < _square_metres(polygon) / (400 * 300) < 2

    def test_of_none(self):
        assert georeferencer().to_polygons(np.empty((0, 4))).to_shapely().shape == (0,)

    def test_off_the_earth_are_none(self, data):
        with open_scene(str(data / "scenes" / "rasterio" / "goes.tif")) as scene:
            found = Georeferencer.from_info(scene.info)

        nowhere, somewhere = found.to_polygons([[0, 0, 5, 5], [250, 250, 260, 260]]).to_shapely()

        assert nowhere is None
        assert somewhere.is_valid


class TestOutlines:
    HOLED = shapely.box(100, 100, 160, 150) - shapely.box(120, 110, 140, 140)
    TWO = shapely.MultiPolygon([shapely.box(300, 300, 310, 320), shapely.box(311, 300, 320, 320)])
    TILTED = shapely.Polygon([(400, 400), (440, 420), (430, 440), (390, 420)])

    @pytest.mark.parametrize(
        "affine",
        [
            NORTH_UP,
            Affine(10, 0, 5e5, 0, 10, 5e6),
            Affine.translation(5e5, 5e6) @ Affine.rotation(33) @ Affine.scale(10, -10),
        ],
        ids=["north-up", "south-up", "rotated"],
    )
    def test_are_their_corners_one_by_one(self, affine):
        outline = np.array([self.HOLED, self.TWO, self.TILTED, shapely.box(0, 0, 9, 9)], object)
        found = georeferencer(transform=affine)

        places = found.to_polygons(shapely.bounds(outline), outline)

        assert places.is_quad.tolist() == [False, False, True, True]
        for shape, px in zip(places.to_shapely(), outline, strict=True):
            expected = shapely.transform(px, lambda at: np.stack(found.to_lonlat(*at.T), axis=1))
            assert shape.geom_type == px.geom_type
            assert shapely.equals_exact(shape, expected, 1e-12, normalize=True)
            for part in shapely.get_parts(shape):
                assert part.exterior.is_ccw
                assert not any(ring.is_ccw for ring in part.interiors)

    def test_that_are_their_boxes_are_where_the_boxes_are(self):
        boxes = np.array([[0, 0, 10, 20], [5.5, 6.5, 7.5, 90]])

        places = georeferencer().to_polygons(boxes, boxes_to_polygons(boxes))

        np.testing.assert_array_equal(places.quads, georeferencer().to_polygons(boxes).quads)
        assert places.geometries is None

    def test_with_long_edges_stay_where_they_are(self):
        """Check a shape across a UTM zone, where a parallel is not a straight line."""
        found = georeferencer(transform=Affine(100, 0, 4e5, 0, -100, 66e5), width=2000, height=2000)
        wide = shapely.box(0, 0, 2000, 1000) - shapely.box(10, 10, 20, 20)

        (shape,) = found.to_polygons(None, np.array([wide], object)).to_shapely()

        edge = np.linspace(0, 2000, 3001)
        off = shapely.distance(shape.exterior, shapely.points(*found.to_lonlat(edge, edge * 0)))
        degree = 111_000
        assert off.max() * degree < 0.1 * 100  # a tenth of a pixel

    def test_that_are_bent_get_their_corners_all_at_once(self, monkeypatch):
        """Check that corners are converted at once.

        Converting one by one takes far longer, and is for shapes over poles and the like.
        """
        found = georeferencer(transform=Affine(2000, 0, 4e5, 0, -2000, 66e5), width=200, height=200)
        wide = shapely.box(0, 0, 200, 100) - shapely.box(10, 10, 20, 20)
        monkeypatch.delattr(Georeferencer, "_unusual_to_lonlat")

        (shape,) = found.to_polygons(None, np.array([wide], object)).to_shapely()

        assert shapely.get_num_coordinates(shape) > shapely.get_num_coordinates(wide) + 5
        edge = np.linspace(0, 200, 3001)
        off = shapely.distance(shape.exterior, shapely.points(*found.to_lonlat(edge, edge * 0)))
        assert off.max() * 111_000 < 0.1 * 2000  # a tenth of a pixel

    @pytest.mark.parametrize("shear", [(2000.0, 0.0), (0.0, 2000.0), (2000.0, 2000.0)])
    def test_in_a_map_of_the_world_that_is_slanted_follow_its_lines(self, shear):
        """Check a map with straight meridians and parallels, in which only oblique edges curve."""
        slanted = Affine(5000, shear[0], 0, shear[1], -5000, 9e6)
        found = georeferencer(transform=slanted, crs=CRS.from_epsg(3857), width=900, height=900)
        wide = shapely.box(0, 0, 900, 800) - shapely.box(10, 10, 20, 20)

        (shape,) = found.to_polygons(None, np.array([wide], object)).to_shapely()

        along = np.linspace(0, 1, 2001)
        for x, y in ((900 * along, 0 * along), (0 * along, 800 * along)):
            off = shapely.distance(shape.exterior, shapely.points(*found.to_lonlat(x, y)))
            degree = 111_000
            assert off.max() * degree < 0.1 * 5000  # a tenth of a pixel

    def test_by_ground_control_points(self):
        gcps = tuple(
            GroundControlPoint(row=r, col=c, x=15 + c / 1e4, y=45 - r / 1e4 + c / 1e5)
            for c in (0, 500, 1000)
            for r in (0, 400, 800)
        )
        found = georeferencer(transform=None, gcps=gcps, crs=LON_LAT)

        (shape,) = found.to_polygons(None, np.array([self.HOLED], object)).to_shapely()

        expected = shapely.transform(
            self.HOLED, lambda at: np.stack([15 + at[:, 0] / 1e4, 45 - at @ [-1e-5, 1e-4]], axis=1)
        )
        assert shapely.hausdorff_distance(shape, expected) < 1e-9

    def test_across_the_antimeridian_are_split_holes_and_all(self):
        found = georeferencer(crs=LON_LAT, transform=Affine(0.1, 0, 175, 0, -0.1, 5))
        holed = shapely.box(0, 0, 100, 100) - shapely.box(40, 40, 60, 60)
        both = shapely.MultiPolygon([holed])
        beside = shapely.box(0, 0, 20, 30) - shapely.box(5, 5, 6, 6)

        places = found.to_polygons(None, np.array([holed, both, beside], object))

        west = shapely.box(175, -5, 180, 5) - shapely.box(179, -1, 180, 1)
        east = shapely.box(-180, -5, -175, 5) - shapely.box(-180, -1, -179, 1)
        first, second, third = places.to_shapely()
        assert first.equals(shapely.union(west, east))
        assert second.equals(first)
        assert third.geom_type == "Polygon"
        assert third.area == pytest.approx(beside.area / 100)

    def test_over_a_pole_hold_it(self):
        affine = Affine(100, 0, -50_000, 0, -100, 50_000)
        found = georeferencer(crs=NORTH_POLAR, transform=affine)
        outline = np.array([shapely.Point(500, 500).buffer(100)], object)

        (shape,) = found.to_polygons(None, outline).to_shapely()

        assert shape.is_valid
        assert shape.bounds[::2] == (-180, 180)
        assert shape.bounds[3] == 90

    def test_go_without_the_corners_that_are_nowhere(self, data):
        with open_scene(str(data / "scenes" / "rasterio" / "goes.tif")) as scene:
            found = Georeferencer.from_info(scene.info)
        inside = shapely.Point(271, 271).buffer(30)
        half = shapely.segmentize(shapely.box(0, 200, 271, 300), 5)
        outside = shapely.Point(5, 5).buffer(3)

        places = found.to_polygons(None, np.array([inside, half, outside], object))

        assert places.is_valid.tolist() == [True, True, False]
        assert places.to_shapely()[1].is_valid
        assert places.to_shapely()[1].bounds[2] == pytest.approx(-75, abs=0.2)

    def test_of_none(self):
        assert len(georeferencer().to_polygons(None, np.empty(0, object))) == 0


class TestAntimeridian:
    def test_a_box_across_is_split(self, data):
        with open_scene(str(data / "scenes" / "rio-tiler" / "cog_dateline.tif")) as scene:
            info = scene.info
        whole = [0, 0, info.width, info.height]

        polygon, beside = (
            Georeferencer.from_info(info).to_polygons([whole, [0, 0, 10, 10]]).to_shapely()
        )

        assert polygon.geom_type == "MultiPolygon"
        assert beside.geom_type == "Polygon"
        parts = sorted(polygon.geoms, key=lambda part: part.bounds[0])
        expected = _unwrapped(info)
        west, _, east, _ = expected.bounds
        assert [part.bounds[0] for part in parts] == pytest.approx([-180, west])
        assert [part.bounds[2] for part in parts] == pytest.approx([east - 360, 180])
        assert polygon.area == pytest.approx(expected.area, rel=1e-3)

    @pytest.mark.parametrize("south_up", [False, True])
    @pytest.mark.parametrize("edge", [180, -180])
    def test_a_box_that_ends_there_is_not(self, edge, south_up):
        affine = Affine(0.1, 0, edge - 10 * (edge > 0), 0, 0.1 if south_up else -0.1, 5)
        found = georeferencer(crs=LON_LAT, transform=affine, width=100, height=100)

        (polygon,) = found.to_polygons([[0, 0, 100, 100]]).to_shapely()

        assert polygon.geom_type == "Polygon"
        assert polygon.area == pytest.approx(100)

    def test_a_box_across_in_degrees(self):
        found = georeferencer(crs=LON_LAT, transform=Affine(0.1, 0, 175, 0, -0.1, 5))

        (polygon,) = found.to_polygons([[0, 0, 100, 100]]).to_shapely()

        assert polygon.equals(
            shapely.union(shapely.box(175, -5, 180, 5), shapely.box(-180, -5, -175, 5))
        )

    def test_a_box_of_more_than_half_the_globe_is_not_taken_for_one_across(self):
        found = georeferencer(
            crs=LON_LAT, transform=Affine(1, 0, -180, 0, -1, 90), width=360, height=180
        )

        (polygon,) = found.to_polygons([[50, 10, 300, 100]]).to_shapely()

        assert polygon.equals(shapely.box(-130, -10, 120, 80))

    @pytest.mark.parametrize("south_up", [False, True])
    @pytest.mark.parametrize(("crs", "latitude"), [(NORTH_POLAR, 90), (SOUTH_POLAR, -90)])
    def test_a_box_over_a_pole_holds_the_pole_and_little_else(self, crs, latitude, south_up):
        affine = Affine(100, 0, -50_000, 0, 100, -50_000)
        if not south_up:
            affine = Affine(100, 0, -50_000, 0, -100, 50_000)
        found = georeferencer(crs=crs, transform=affine)

        (polygon,) = found.to_polygons([[400, 400, 600, 600]]).to_shapely()

        assert polygon.is_valid
        assert polygon.bounds[0] == -180
        assert polygon.bounds[2] == 180
        assert latitude in (polygon.bounds[1], polygon.bounds[3])
        assert abs(polygon.bounds[3] - polygon.bounds[1]) < 0.2


FINITE = st.floats(-1e9, 1e9, allow_nan=False)
CODES = (4326, 4269, 3857, 32633, 32760, 3413, 27700, 5514, 8857)
WKTS = st.sampled_from(["", *(CRS.from_epsg(code).to_wkt() for code in CODES)])


@given(
    crs=WKTS,
    transform=st.none() | st.tuples(*[FINITE] * 6),
    gcps=st.lists(st.tuples(FINITE, FINITE, FINITE, FINITE, st.none() | st.floats()), max_size=5),
)
def test_what_a_header_says_survives_json(crs, transform, gcps):
    points = [GroundControlPoint(col=c, row=r, x=x, y=y, z=z) for c, r, x, y, z in gcps]
    scene = dataclasses.replace(
        BLANK,
        crs=CRS.from_wkt(crs) if crs else None,
        transform=Affine(*transform) if transform else None,
        gcps=tuple(points),
    )
    text = json.dumps(scene.georeference.to_json(), allow_nan=False)

    found = ImageInfo.from_georeference(
        Georeference.from_json(json.loads(text)), uri="x.tif", width=1000, height=800
    )

    assert (found.crs, found.transform) == (scene.crs, scene.transform)
    assert [(g.col, g.row, g.x, g.y) for g in found.gcps] == [gcp[:4] for gcp in gcps]
    assert all(
        kept.z == (z if z is not None and np.isfinite(z) else 0)
        for kept, (*_, z) in zip(found.gcps, gcps, strict=True)
    )


@pytest.mark.parametrize("code", CODES)
@settings(max_examples=10)
@given(turn=st.floats(-180, 180), pixel=st.floats(0.1, 100), x=st.floats(-0.4, 0.4))
def test_a_scene_is_where_it_was_after_json(code, turn, pixel, x):
    """Check that coordinates are equal to the last bit, in every CRS, rotated or not."""
    crs = CRS.from_epsg(code)
    if crs.is_geographic:
        origin, pixel = (x * 100, 50 + x), pixel * 1e-5
    else:
        origin = (x * 1e6, 5e6)
    affine = Affine.translation(*origin) @ Affine.rotation(turn) @ Affine.scale(pixel, -pixel)
    scene = dataclasses.replace(BLANK, crs=crs, transform=affine)
    text = json.dumps(scene.georeference.to_json())

    found = ImageInfo.from_georeference(
        Georeference.from_json(json.loads(text)), uri="x.tif", width=1000, height=800
    )

    assert_same_georeference(found, scene)


class TestGroundControlPoints:
    def test_each_is_where_it_says(self, data):
        path = str(data / "scenes" / "rio-tiler" / "cog_gcps.tif")
        with open_scene(path) as scene:
            gcps = scene.info.gcps
            found = Georeferencer.from_info(scene.info)

        lon, lat = found.to_lonlat([g.col for g in gcps], [g.row for g in gcps])

        np.testing.assert_allclose(lon, [g.x for g in gcps], atol=1e-9)
        np.testing.assert_allclose(lat, [g.y for g in gcps], atol=1e-9)

    def test_in_a_projection(self, make_scene):
        gcps = [
            GroundControlPoint(row=r, col=c, x=5e5 + 10 * c, y=5e6 - 10 * r)
            for r, c in ((0, 0), (0, 100), (80, 0), (80, 100))
        ]
        path = make_scene(np.ones((1, 80, 100), "uint8"), gcps=gcps, transform=None)
        with open_scene(path) as scene:
            found = Georeferencer.from_info(scene.info)

        np.testing.assert_allclose(
            found.to_lonlat([50, 3], [20, 70]),
            georeferencer().to_lonlat([50, 3], [20, 70]),
            atol=1e-9,
        )

    def test_across_the_antimeridian(self):
        gcps = tuple(
            GroundControlPoint(row=r, col=c, x=(359 + c / 50) % 360 - 180, y=10 - r / 100)
            for r in (0, 50, 100)
            for c in (0, 50, 100)
        )
        found = georeferencer(transform=None, gcps=gcps, crs=LON_LAT, width=100, height=100)

        lon, lat = found.to_lonlat([25, 75], [50, 50])

        np.testing.assert_allclose(lon, [179.5, -179.5], atol=1e-9)
        np.testing.assert_allclose(lat, [9.5, 9.5], atol=1e-9)

    def test_two_are_too_few(self):
        gcps = tuple(GroundControlPoint(row=i, col=i, x=i, y=i) for i in range(2))

        with pytest.raises(SceneError, match="2 ground control points, but 3 are needed"):
            georeferencer(transform=None, gcps=gcps, crs=LON_LAT)

    def test_points_in_a_line_are_refused(self):
        gcps = tuple(GroundControlPoint(row=i, col=i, x=i, y=i * i) for i in range(5))

        with pytest.raises(SceneError, match=r"x\.tif .* on one line"):
            georeferencer(transform=None, gcps=gcps, crs=LON_LAT)

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e300])
    def test_points_that_are_nowhere_are_refused(self, bad):
        places = [(0, 0), (0, 1), (1, 0), (1, bad)]
        gcps = tuple(GroundControlPoint(row=r, col=c, x=c, y=r) for c, r in places)

        with pytest.raises(SceneError, match=r"x\.tif .* are valid positions"):
            georeferencer(transform=None, gcps=gcps, crs=LON_LAT)

    def test_points_too_many_for_a_spline_give_a_polynomial(self, monkeypatch):
        places = [(c, r) for c in range(0, 1000, 100) for r in range(0, 800, 100)]
        gcps = tuple(
            GroundControlPoint(row=r, col=c, x=15 + c / 1e4 + c * r / 1e9, y=45 - r / 1e4)
            for c, r in places
        )
        spline = georeferencer(transform=None, gcps=gcps, crs=LON_LAT)
        monkeypatch.setattr("swath.raster.geotransform._MAX_TPS_GCPS", 10)

        polynomial = georeferencer(transform=None, gcps=gcps, crs=LON_LAT)

        x, y = [333, 512], [250, 777]
        np.testing.assert_allclose(polynomial.to_lonlat(x, y), spline.to_lonlat(x, y), atol=1e-6)


class TestRefused:
    @pytest.mark.parametrize(
        ("changes", "reason"),
        [
            ({"crs": None}, "no coordinate reference system"),
            ({"transform": None}, "neither a geotransform nor ground control points"),
            ({"transform": None, "crs": None, "rpcs": True}, "gdalwarp -rpc"),
            ({"transform": Affine(0, 0, 1, 0, 0, 1)}, "cannot be inverted"),
            ({"transform": Affine(float("nan"), 0, 1, 0, 1, 1)}, "cannot be inverted"),
            ({"transform": Affine(10, 0, 1e300, 0, -10, 0)}, "no pixel"),
            ({"transform": Affine(1e-5, 0, 5e5, 0, 1e-5, 5e6), "crs": LON_LAT}, "no pixel"),
            ({"crs": CRS.from_epsg(4978)}, r"geocentric coordinates \(WGS 84\)"),
            (
                {"crs": CRS.from_wkt('LOCAL_CS["hall 3",UNIT["metre",1]]')},
                "hall 3, can convert to EPSG:4326",
            ),
        ],
    )
    def test_says_why(self, changes, reason):
        with pytest.raises(SceneError, match=reason) as caught:
            georeferencer(**changes)

        assert "x.tif" in str(caught.value)

    @pytest.mark.parametrize("file", ["cog_hirise_mars.tif", "cog_nonearth.tif"])
    def test_other_worlds(self, data, file):
        with (
            open_scene(str(data / "scenes" / "rio-tiler" / file)) as scene,
            pytest.raises(SceneError, match="another planet"),
        ):
            Georeferencer.from_info(scene.info)


def test_agrees_with_rasterio_on_a_rotated_scene(data):
    path = str(data / "scenes" / "geotiff-test-data" / "umbra_mount_yasur.tiff")
    with rasterio.open(path) as source:
        x, y = source.xy([10, 1900], [20, 1000], offset="ul")
        expected = transform(source.crs, LON_LAT, x, y)
    with open_scene(path) as scene:
        found = Georeferencer.from_info(scene.info)

    np.testing.assert_allclose(found.to_lonlat([20, 1000], [10, 1900]), expected, atol=1e-12)


def _somewhere(epsg):
    """Return a lon and lat in a projection's area; some are on the antimeridian or a pole."""
    lon, lat = {
        32601: (-180, 60),
        32660: (180, -30),
        3857: (-70, 45),
        3413: (180, 85),
        3031: (180, -80),
        2193: (180, -44),
        5070: (-96, 38),
    }[epsg]
    return [lon], [lat]


def _square_metres(polygon):
    degree = 111_200
    return polygon.area * degree**2 * np.cos(np.radians(polygon.centroid.y))


def _unwrapped(info):
    """Return the outline of a whole scene, with longitudes from 0 to 360."""
    polygon = corners_of(info.transform, info.crs, [0, 0, info.width, info.height])
    return shapely.transform(polygon, lambda lon_lat: lon_lat % [360, 90])


def test_positions_off_a_map_that_is_narrower_than_a_pixel_are_nowhere(tmp_path):
    """Check a sinusoidal map: PROJ maps positions beyond its edge to positions on it."""
    scene = GeoreferencedScene("sinusoidal, at the pole", tmp_path)
    # px; the map's edge is at 0.01 degrees off the pole
    edge = 180 * np.sin(np.radians(0.01)) / (10 / SIDE)
    row = 0.01 / (10 / SIDE)
    lon, lat = scene.georeferencer.to_lonlat([0.9 * edge, 1.1 * edge, 3 * edge], [row] * 3)
    assert np.isfinite(lon).tolist() == np.isfinite(lat).tolist() == [True, False, False]
