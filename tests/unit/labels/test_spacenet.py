import numpy as np
import pytest
import shapely
from rasterio.transform import Affine

from swath.errors import LabelsError
from swath.labels.read import read_collection
from tests.helpers.label_files import geojson, write_json
from tests.helpers.rasters import NORTH_UP

STAMP = "20190822070610_20190822070846"
HEAD = "ImageId,TileBuildingId,PolygonWKT_Pix,Mean_Building_Height\n"
FIRST = f'SN6_{STAMP}_tile_1,1,"POLYGON Z ((5 6 0, 15 6 0, 15 26 0, 5 26 0, 5 6 0))",4.5\n'


@pytest.fixture
def area(tmp_path, make_scene):
    """Return an area in SpaceNet 6's layout: two SAR chips of 60 x 40 px, one with a building."""
    for folder in ("SAR-Intensity", "geojson_buildings", "SummaryData"):
        (tmp_path / folder).mkdir()
    for number in (1, 22):
        place = NORTH_UP @ Affine.translation(60 * number, 0)
        name = f"SN6_Train_AOI_11_Rotterdam_SAR-Intensity_{STAMP}_tile_{number}.tif"
        make_scene(np.zeros((4, 40, 60), np.float32), name=f"SAR-Intensity/{name}", transform=place)
    return tmp_path


def add_footprints(area, number, *boxes):
    """Add a file of footprints in the scene's CRS, as SpaceNet 6 has them."""
    place = NORTH_UP @ Affine.translation(60 * number, 0)
    shapes = [
        shapely.transform(shapely.box(*box), lambda xy: np.stack(place @ tuple(xy.T), axis=1))
        for box in boxes
    ]
    name = f"SN6_Train_AOI_11_Rotterdam_Buildings_{STAMP}_tile_{number}.geojson"
    return write_json(
        area / "geojson_buildings" / name, geojson(shapes, crs="urn:ogc:def:crs:EPSG::32633")
    )


def add_summary(area, rows, *, name="SN6_Train_AOI_11_Rotterdam_Buildings.csv"):
    path = area / "SummaryData" / name
    path.write_text(rows)
    return str(path)


def chips(area):
    return str(area / "SAR-Intensity")


def test_footprints_are_matched_to_chips_by_tile(area):
    add_footprints(area, 1, (5, 6, 15, 26))
    add_footprints(area, 22)

    found = read_collection(str(area / "geojson_buildings"), chips(area))

    assert found.classes == ("building",)
    assert [np.round(scene.boxes, 3).tolist() for scene in found.scenes] == [[[5, 6, 15, 26]], []]
    assert [scene.name[-8:] for scene in found.scenes] == ["le_1.tif", "e_22.tif"]


def test_a_summary_gives_the_same_as_the_files(area):
    add_footprints(area, 1, (5, 6, 15, 26))
    empty = f"SN6_{STAMP}_tile_22,-1,POLYGON EMPTY,\n"
    summary = add_summary(area, HEAD + FIRST + empty)

    one = read_collection(summary, chips(area))
    other = read_collection(str(area / "geojson_buildings"), chips(area), form="spacenet")

    assert one.classes == other.classes
    for scene, same in zip(one.scenes, other.scenes, strict=True):
        assert scene.uri == same.uri
        np.testing.assert_allclose(scene.boxes, same.boxes, atol=1e-5)
        assert scene.outlines is not None
        assert shapely.equals_exact(scene.outlines, same.outlines, 1e-5, normalize=True).all()


@pytest.mark.parametrize("form", ["auto", "spacenet"])
def test_labels_are_found_beside_the_chips(area, form):
    add_footprints(area, 22, (5, 6, 15, 26))
    by_files = read_collection(None, chips(area), form=form)
    add_summary(area, HEAD + FIRST)
    by_summary = read_collection(None, chips(area), form=form)

    assert [len(scene.boxes) for scene in by_files.scenes] == [0, 1]
    assert [len(scene.boxes) for scene in by_summary.scenes] == [1, 0]


def test_the_class_of_footprints_can_be_named(area):
    summary = add_summary(area, HEAD + FIRST)

    assert read_collection(summary, chips(area), classes=["house"]).classes == ("house",)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (HEAD + FIRST + FIRST, r"line 3 repeats the building 1 of the tile .*tile_1"),
        (
            HEAD + FIRST.replace("tile_1", "tile_3"),
            r"line 2 belongs to the tile .*tile_3, but none",
        ),
        (
            HEAD + "x_tile_1,1,POINT (1 2),\n",
            r"line 2 belongs to the tile tile_1, but none of the 2",
        ),
        (
            HEAD + f"{STAMP}_tile_1,1,POINT (1 2),\n",
            r"line 2 has the invalid polygon 'POINT \(1 2\)'; write POLYGON",
        ),
        (
            HEAD + f'{STAMP}_tile_1,1,"POLYGON ((1 1, 2 2, 1 1))",\n',
            "line 2 has an outline without area|the invalid polygon",
        ),
        (
            HEAD + f'{STAMP}_tile_1,1,"POLYGON ((75 6, 95 6, 95 26, 75 6))",\n',
            r"line 2 has the box \(75, 6, 95, 26\), which lies outside its scene",
        ),
        ("ImageId,PolygonWKT_Geo\n", "has no column PolygonWKT_Pix; a SpaceNet summary"),
    ],
)
def test_a_summary_that_cannot_be_is_refused_with_its_line(area, rows, message):
    summary = add_summary(area, rows)

    with pytest.raises(LabelsError, match=message):
        read_collection(summary, chips(area))


def test_footprints_of_no_chip_are_refused(area):
    add_footprints(area, 3, (5, 6, 15, 26))

    with pytest.raises(
        LabelsError, match=r"tile_3\.geojson belongs to the tile .*tile_3, but none of"
    ):
        read_collection(str(area / "geojson_buildings"), chips(area))


def test_two_kinds_of_chips_are_refused(area, make_scene):
    add_footprints(area, 1)
    name = f"SAR-Intensity/SN6_Train_AOI_11_Rotterdam_PS-RGB_{STAMP}_tile_1.tif"
    make_scene(np.zeros((4, 40, 60), np.float32), name=name)

    with pytest.raises(LabelsError, match=r"both belong to the tile .*tile_1; give the images"):
        read_collection(str(area / "geojson_buildings"), chips(area), form="spacenet")


def test_chips_without_a_number_are_refused(area, make_scene):
    add_footprints(area, 1)
    make_scene(np.zeros((4, 40, 60), np.float32), name="SAR-Intensity/overview.tif")

    with pytest.raises(LabelsError, match=r"overview\.tif does not end in a tile number"):
        read_collection(str(area / "geojson_buildings"), chips(area), form="spacenet")
