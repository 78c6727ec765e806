import json

import numpy as np
import pytest

from swath.errors import InputError, LabelsError
from swath.labels.read import read_collection
from swath.labels.renaming import parse_class_map
from tests.helpers.labeled import around, dots, write_coco

PLACES = [(5, 5), (40, 40), (80, 20)]
CLASSES = ("vessel", "boat", "buoy")


@pytest.fixture
def labels(make_scene, tmp_path):
    """Write a COCO file of three objects, each of its own class."""
    make_scene(dots(PLACES))
    path = write_coco(tmp_path / "labels.json", [("scene.tif", around(PLACES))], CLASSES)
    content = json.loads(path.read_text())
    for number, annotation in enumerate(content["annotations"], 1):
        annotation["category_id"] = number
    path.write_text(json.dumps(content))
    return path


def read(labels, class_map, **options):
    return read_collection(str(labels), str(labels.parent), class_map=class_map, **options)


def named(collection):
    (scene,) = collection.scenes
    return [collection.classes[number] for number in scene.classes]


@pytest.mark.parametrize(
    ("class_map", "classes", "names"),
    [
        ({}, CLASSES, ["vessel", "boat", "buoy"]),
        ({"vessel": "ship"}, ("ship", "boat", "buoy"), ["ship", "boat", "buoy"]),
        ({"vessel": "ship", "boat": "ship"}, ("ship", "buoy"), ["ship", "ship", "buoy"]),
        # One new name exists already. Two names are swapped.
        ({"vessel": "buoy"}, ("buoy", "boat"), ["buoy", "boat", "buoy"]),
        (
            {"vessel": "boat", "boat": "vessel"},
            ("boat", "vessel", "buoy"),
            ["boat", "vessel", "buoy"],
        ),
    ],
)
def test_classes_of_labels_get_other_names(labels, class_map, classes, names):
    found = read(labels, class_map)

    assert found.classes == classes
    assert named(found) == names
    assert np.array_equal(found.scenes[0].boxes, around(PLACES))


def test_the_classes_that_are_wanted_are_those_of_the_new_names(labels):
    found = read(labels, {"vessel": "ship", "boat": "ship"}, classes=["buoy", "ship"])

    assert found.classes == ("buoy", "ship")
    assert named(found) == ["ship", "ship", "buoy"]


def test_another_name_is_another_collection(labels):
    assert read(labels, {"vessel": "ship"}).digest != read(labels, {}).digest


def test_a_class_that_the_labels_lack_is_refused_with_those_that_there_are(labels):
    says = r"renames the class 'ferry', but .*labels\.json has 'vessel', 'boat', 'buoy'"
    with pytest.raises(LabelsError, match=says):
        read(labels, {"ferry": "ship"})

    assert read(labels, {"ferry": "ship"}, all_mapped=False).classes == CLASSES


def test_features_of_a_geojson_get_other_names(make_scene, tmp_path):
    scene = make_scene(dots(PLACES), crs="EPSG:4326", transform=(0.1, 0, 0, 0, -0.1, 6))
    ring = [[0.5, 5.5], [0.7, 5.5], [0.7, 5.3], [0.5, 5.3], [0.5, 5.5]]
    feature = {
        "type": "Feature",
        "properties": {"class": "vessel"},
        "geometry": {"type": "Polygon", "coordinates": [ring]},
    }
    path = tmp_path / "labels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))

    found = read_collection(str(path), str(scene), class_map={"vessel": "ship"})

    assert (found.classes, named(found)) == (("ship",), ["ship"])


def test_assignments_are_read():
    assert parse_class_map(["a=b", " small craft = ship "]) == {"a": "b", "small craft": "ship"}


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["vessel"], "--map vessel is not an assignment; write --map vessel=ship"),
        (["=ship"], "--map =ship is not an assignment"),
        (["vessel="], "--map vessel= is not an assignment"),
        (["a=b", "a=c"], "gives the class 'a' two names, 'b' and 'c'"),
    ],
)
def test_what_is_no_assignment_is_refused(texts, says):
    with pytest.raises(InputError, match=says):
        parse_class_map(texts)
