import numpy as np
import pytest
import shapely
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine
from rasterio.warp import transform_geom

from swath.errors import LabelsError
from swath.labels.read import read_collection
from tests.helpers.label_files import geojson, write_json
from tests.helpers.rasters import NORTH_UP, UTM

SQUARE = shapely.box(10, 5, 22, 17)
ROTATED = Affine.translation(500_000, 5_000_000) @ Affine.rotation(30) @ Affine.scale(10, -10)


def on_the_map(shapes, place=NORTH_UP, *, crs=UTM, to="EPSG:4326"):
    """Return shapes in px as shapes on the map."""
    moved = [
        shapely.transform(shape, lambda xy: np.stack(place @ tuple(xy.T), axis=1))
        for shape in shapes
    ]
    return [shapely.geometry.shape(transform_geom(crs, to, shape)) for shape in moved]


def blank(width=60, height=40):
    return np.zeros((1, height, width), np.uint8)


@pytest.fixture
def read(tmp_path):
    def read(shapes, images, *, crs=None, properties=None, **options):
        content = geojson(shapes, crs=crs, properties=properties)
        labels = write_json(tmp_path / "labels.geojson", content)
        return read_collection(labels, str(images), **options)

    return read


@pytest.mark.parametrize("place", [NORTH_UP, ROTATED], ids=["north up", "rotated"])
@pytest.mark.parametrize("to", [None, "EPSG:3857", "EPSG:32634", UTM])
def test_labels_in_any_system_come_to_lie_in_the_pixels(read, make_scene, place, to):
    scene = make_scene(blank(), transform=place)
    shapes = on_the_map([SQUARE], place, to=to or "EPSG:4326")
    code = to and f"urn:ogc:def:crs:EPSG::{to.removeprefix('EPSG:')}"

    (found,) = read(shapes, scene, crs=code).scenes

    assert found.outlines[0].equals_exact(SQUARE, 2e-3, normalize=True)
    np.testing.assert_allclose(found.boxes, [SQUARE.bounds], atol=2e-3)


def test_labels_come_to_lie_by_ground_control_points(read, make_scene):
    corners = [(0, 0), (60, 0), (0, 40), (60, 40), (30, 20)]
    gcps = [
        GroundControlPoint(row=y, col=x, x=point[0], y=point[1])
        for x, y in corners
        for point in [NORTH_UP @ (x, y)]
    ]
    scene = make_scene(blank(), transform=None, crs=UTM, gcps=gcps)

    (found,) = read(on_the_map([SQUARE]), scene).scenes

    np.testing.assert_allclose(found.boxes, [SQUARE.bounds], atol=0.01)


def test_labels_beyond_the_antimeridian_come_to_lie_in_the_pixels(read, make_scene):
    place = Affine(0.01, 0, 179.8, 0, -0.01, 10)
    scene = make_scene(blank(), transform=place, crs="EPSG:4326")
    (eastern,) = on_the_map([shapely.box(30, 5, 40, 15)], place, crs="EPSG:4326")
    western = shapely.transform(eastern, lambda xy: xy - [360, 0])

    (found,) = read([western], scene).scenes

    np.testing.assert_allclose(found.boxes, [[30, 5, 40, 15]], atol=1e-6)


def test_a_multipolygon_is_one_object(read, make_scene):
    both = shapely.MultiPolygon([shapely.box(1, 1, 5, 5), shapely.box(10, 1, 15, 5)])
    (found,) = read(on_the_map([both]), make_scene(blank())).scenes

    np.testing.assert_allclose(found.boxes, [[1, 1, 15, 5]], atol=1e-3)


def test_one_file_may_have_the_labels_of_many_scenes(read, make_scene, tmp_path):
    make_scene(blank(), name="a.tif")
    make_scene(blank(), name="b.tif", transform=NORTH_UP @ Affine.translation(60, 0))
    make_scene(blank(), name="c.tif", transform=NORTH_UP @ Affine.translation(0, 40))
    across, second = shapely.box(50, 5, 70, 15), shapely.box(80, 5, 90, 15)

    found = read(on_the_map([across, second]), tmp_path)

    assert [scene.name for scene in found.scenes] == ["a.tif", "b.tif", "c.tif"]
    a, b, c = (np.round(scene.boxes, 3).tolist() for scene in found.scenes)
    assert a == [[50, 5, 60, 15]]
    assert b == [[0, 5, 10, 15], [20, 5, 30, 15]]
    assert c == []


def test_each_scene_may_have_a_file(make_scene, tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "labels").mkdir()
    for value, name in enumerate(("north", "south", "west")):
        make_scene(blank() + value, name=f"images/{name}_S2_5band.tif")
    for name, shapes in {"north_ships": [SQUARE], "south_ships": [SQUARE, SQUARE]}.items():
        write_json(tmp_path / "labels" / f"{name}.geojson", geojson(on_the_map(shapes)))

    found = read_collection(str(tmp_path / "labels"), str(tmp_path / "images"))

    assert [len(scene.boxes) for scene in found.scenes] == [1, 2, 0]


@pytest.mark.parametrize("key", ["class", "class_name", "label", "category"])
def test_classes_are_told_by_a_property(read, make_scene, key):
    found = read(on_the_map([SQUARE]), make_scene(blank()), properties={"id": 1, key: "jetty"})

    assert found.classes == ("jetty",)


@pytest.mark.parametrize(("classes", "expected"), [(None, ("object",)), (["tree"], ("tree",))])
def test_one_class_need_not_be_told(read, make_scene, classes, expected):
    assert read(on_the_map([SQUARE]), make_scene(blank()), classes=classes).classes == expected


def test_one_of_several_classes_must_be_told(read, make_scene):
    with pytest.raises(LabelsError, match=r"feature 1 has no class.*give it a property"):
        read(on_the_map([SQUARE]), make_scene(blank()), classes=["a", "b"])


def test_points_become_squares_of_a_size_that_is_asked_for(read, make_scene):
    scene = make_scene(blank())
    points = on_the_map([shapely.Point(20, 10)])

    (found,) = read(points, scene, point_size=6).scenes
    np.testing.assert_allclose(found.boxes, [[17, 7, 23, 13]], atol=1e-3)
    with pytest.raises(LabelsError, match=r"feature 1 has a Point.*point_size"):
        read(points, scene)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        (shapely.LineString([(15, 45), (15.1, 45)]), "feature 1 has a LineString; a label is"),
        (shapely.Polygon(), "feature 1 has an empty geometry"),
        (
            shapely.box(1, 2, 3, 4),
            r"feature 1 lies outside all scenes \(features outside: 1, scenes: 1\)",
        ),
        (
            shapely.box(5e5, 4.99e6, 5.001e5, 5e6),
            r"\(500100, 4.99e\+06\), which is not a longitude and latitude: the file lacks a crs",
        ),
    ],
)
def test_a_label_that_cannot_be_is_refused_with_its_place(read, make_scene, shape, message):
    with pytest.raises(LabelsError, match=message):
        read([shape], make_scene(blank()))


@pytest.mark.parametrize("crs", [None, UTM])
@pytest.mark.parametrize("far", [-1e308, 1e200, 1e20])
def test_a_corner_that_is_nowhere_is_refused(read, make_scene, crs, far):
    """Check a corner that has no position in the scene: GEOS overflows, or does not end."""
    place = NORTH_UP if crs else None
    corners = [(5, 5), (25, 5), (25, 25), (5, 25)]
    if place:
        corners = [place @ corner for corner in corners]
    else:
        (square,) = on_the_map([SQUARE], NORTH_UP)
        corners = [*square.exterior.coords][:4]
    corners[2] = (corners[2][0], far)

    with pytest.raises(LabelsError, match="feature 1"):
        read([shapely.Polygon(corners)], make_scene(blank()), crs=crs)


def test_an_outline_without_area_is_refused(read, make_scene):
    (line,) = on_the_map([shapely.LineString([(5, 5), (25, 5)])])
    flat = shapely.Polygon([*line.coords, line.coords[0]])

    with pytest.raises(LabelsError, match=r"feature 1 has an outline without area"):
        read([flat], make_scene(blank()))


def test_labels_of_a_scene_that_lie_outside_it_are_refused(make_scene, tmp_path):
    scene = make_scene(blank())
    far = on_the_map([shapely.box(100, 100, 120, 120)])
    (tmp_path / "labels").mkdir()
    write_json(tmp_path / "labels" / "scene.geojson", geojson(far))

    with pytest.raises(LabelsError, match=r"scene\.geojson: feature 1 has the box .*outside"):
        read_collection(str(tmp_path / "labels"), scene)


def test_a_feature_without_geometry_is_refused(make_scene, tmp_path):
    content = geojson(on_the_map([SQUARE]))
    content["features"].append({"type": "Feature", "id": "x7", "properties": {}, "geometry": None})
    labels = write_json(tmp_path / "labels.geojson", content)

    with pytest.raises(LabelsError, match="feature 'x7' has no geometry that can be read"):
        read_collection(labels, make_scene(blank()))


def test_ids_that_are_given_twice_are_refused(make_scene, tmp_path):
    content = geojson(on_the_map([SQUARE, SQUARE]))
    for feature in content["features"]:
        feature["id"] = 3
    labels = write_json(tmp_path / "labels.geojson", content)

    with pytest.raises(LabelsError, match="the id 3 occurs twice"):
        read_collection(labels, make_scene(blank()))


def test_a_system_that_is_not_known_is_refused(read, make_scene):
    with pytest.raises(LabelsError, match="the crs member names 'urn:x:nowhere'"):
        read(on_the_map([SQUARE]), make_scene(blank()), crs="urn:x:nowhere")


def test_a_scene_that_is_nowhere_is_refused(read, make_scene):
    scene = make_scene(blank(), crs=None)

    with pytest.raises(LabelsError, match=r"scene\.tif has no georeference.*COCO labels in px"):
        read(on_the_map([SQUARE]), scene)


def test_a_file_that_is_no_collection_of_features_is_refused(make_scene, tmp_path):
    labels = write_json(tmp_path / "labels.geojson", {"type": "Feature"})

    with pytest.raises(LabelsError, match=r"labels\.geojson: .*GeoJSON is a FeatureCollection"):
        read_collection(labels, make_scene(blank()))


def test_the_ports_are_the_same_in_both_forms(data):
    folder = str(data / "ships_s2")
    maps = {scene.name: scene for scene in read_collection(folder, folder, form="geojson").scenes}

    for name in ("train.json", "val.json"):
        for scene in read_collection(f"{folder}/{name}", folder).scenes:
            other = maps.pop(scene.name)
            np.testing.assert_allclose(other.boxes, scene.boxes, atol=1e-6)
            assert np.array_equal(other.classes, scene.classes)
    assert not maps


def test_buildings_lie_on_the_scene_that_they_were_drawn_on(data):
    folder = str(data / "buildings_oam")
    found = read_collection(None, folder, classes=["building"])
    (scene,) = found.scenes

    assert len(scene.boxes) == 98
    assert (scene.boxes >= 0).all()
    assert (scene.boxes <= 1024).all()
    np.testing.assert_allclose(shapely.bounds(scene.outlines), scene.boxes)


def test_trees_are_points_in_the_scenes_system(data):
    folder = data / "trees_naip"
    found = read_collection(
        str(folder / "json"), str(folder / "images"), classes=["tree"], point_size=12
    )

    for scene in found.scenes:
        rows = (folder / "csv" / scene.name).with_suffix(".csv")
        told = np.loadtxt(rows, delimiter=",", skiprows=1, ndmin=2) if rows.exists() else ()
        assert len(scene.boxes) == len(told), scene.name


def test_footprints_of_solaris_are_read_in_their_own_system(data):
    folder = data / "scenes" / "solaris_spacenet"
    found = read_collection(
        str(folder / "geotiff_labels.geojson"), str(folder / "sample_geotiff.tif")
    )

    assert len(found.scenes[0].boxes) == 43


def test_a_system_without_a_number_is_a_system(read, make_scene):
    wkt = "+proj=aea +lat_0=23 +lon_0=15 +lat_1=29.5 +lat_2=45.5 +datum=WGS84"
    place = Affine(10, 0, 0, 0, -10, 0)
    scene = make_scene(blank(), transform=place, crs=CRS.from_string(wkt))

    (found,) = read(on_the_map([SQUARE], place, crs=CRS.from_string(wkt)), scene).scenes

    np.testing.assert_allclose(found.boxes, [SQUARE.bounds], atol=1e-3)


GOES = "+proj=geos +h=35785831 +lon_0=-75 +sweep=x +ellps=GRS80 +units=m"
APART = {
    "two zones": (("EPSG:32631", 5e5, 5e6), ("EPSG:32646", 5e5, 2.5e5)),
    "a disc": ((GOES, 1e5, 3e6), ("EPSG:32631", 5e5, 5e6)),
    "both poles": (("EPSG:3413", 1e5, 2e5), ("EPSG:3031", 1e5, 2e5)),
    "across the antimeridian": (("EPSG:32601", 3e5, 5e6), ("EPSG:32660", 7e5, 5e6)),
}


@pytest.mark.parametrize("systems", APART)
def test_one_file_may_be_of_scenes_that_no_projection_holds_together(
    read, make_scene, tmp_path, systems
):
    shapes = []
    for name, (crs, x, y) in zip("ab", APART[systems], strict=True):
        place = Affine(10, 0, x, 0, -10, y)
        make_scene(blank(), name=f"{name}.tif", crs=crs, transform=place)
        shapes += on_the_map([SQUARE], place, crs=crs)

    found = read(shapes, tmp_path)

    for scene in found.scenes:
        np.testing.assert_allclose(scene.boxes, [SQUARE.bounds], atol=0.05)


def test_a_stray_label_in_a_scenes_own_file_is_named(make_scene, tmp_path):
    (tmp_path / "own").mkdir()
    scene = make_scene(blank(), name="a.tif")
    stray = shapely.box(105, -0.1, 105.1, 0)  # 90° from the zone's central meridian
    content = geojson([*on_the_map([SQUARE]), stray, stray])
    write_json(tmp_path / "own" / "a.geojson", content)

    message = r"feature 2 has no position in the projection of .*a\.tif \(.*: 2\); it"
    with pytest.raises(LabelsError, match=message):
        read_collection(str(tmp_path / "own"), scene)
