import numpy as np
import pytest
import shapely

from swath.errors import LabelsError, SceneError
from swath.labels.read import read_collection
from tests.helpers.label_files import coco, write_json


@pytest.fixture
def scene(make_scene):
    return make_scene(np.zeros((1, 40, 60), np.uint8), name="port.tif")


@pytest.fixture
def read(scene, tmp_path):
    """Return a function that reads COCO labels of `scene`, which has 60 x 40 px."""

    def read(annotations=(), *, images=(("port.tif", 60, 40),), change=None, **options):
        content = coco(
            images=images, annotations=annotations, categories=options.pop("categories", ("ship",))
        )
        if change:
            change(content)
        labels = write_json(tmp_path / "labels.json", content)
        return read_collection(labels, str(tmp_path), **options)

    return read


def only(collection):
    (scene,) = collection.scenes
    return scene


def test_boxes_are_corners_in_the_scene(read, scene):
    found = read([(1, 1, (5, 6, 10, 20)), (1, 2, (0, 0, 1.5, 2))], categories=("ship", "buoy"))

    assert found.classes == ("ship", "buoy")
    assert only(found).uri == scene
    assert (only(found).width, only(found).height) == (60, 40)
    assert only(found).boxes.tolist() == [[5, 6, 15, 26], [0, 0, 1.5, 2]]
    assert only(found).classes.tolist() == [0, 1]
    assert only(found).crowd.tolist() == [False, False]
    assert only(found).outlines is None


def test_a_scene_without_objects_belongs_to_the_collection(read):
    scene = only(read())

    assert scene.boxes.shape == (0, 4)
    assert scene.classes.shape == scene.crowd.shape == (0,)


def test_classes_stand_in_the_order_of_their_ids(read):
    def swap(content):
        content["categories"] = [{"id": 7, "name": "b"}, {"id": 1, "name": "a"}]
        content["annotations"][0]["category_id"] = 7

    found = read([(1, 1, (1, 1, 2, 2))], change=swap)

    assert found.classes == ("a", "b")
    assert only(found).classes.tolist() == [1]


def test_classes_stand_in_the_order_asked_for(read):
    found = read([(1, 1, (1, 1, 2, 2))], categories=("a", "b"), classes=["b", "a"])

    assert found.classes == ("b", "a")
    assert only(found).classes.tolist() == [1]


def test_polygons_are_outlines_and_their_parts_one_object(read):
    parts = [[10, 10, 20, 10, 20, 20, 10, 20], [30, 10, 34, 10, 34, 14, 30, 14]]
    scene = only(read([(1, 1, {"segmentation": parts})]))

    assert scene.outlines[0].equals(
        shapely.union_all([shapely.box(10, 10, 20, 20), shapely.box(30, 10, 34, 14)])
    )
    assert scene.boxes.tolist() == [[10, 10, 34, 20]]


def test_a_polygon_that_crosses_itself_becomes_the_areas_it_encloses(read):
    bow = [[10, 10, 20, 20, 20, 10, 10, 20]]
    outline = only(read([(1, 1, {"segmentation": bow})])).outlines[0]

    assert outline.is_valid
    assert outline.area == pytest.approx(50)


def test_masks_are_outlines_along_pixels(read):
    mask = np.zeros((40, 60), np.bool_)
    mask[5:9, 7:20] = True
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(flat, prepend=~flat[:1])).tolist()
    runs = np.diff([0, *edges[1:], flat.size]).tolist()
    scene = only(read([(1, 1, {"segmentation": {"size": [40, 60], "counts": runs}, "iscrowd": 1})]))

    assert scene.outlines[0].equals(shapely.box(7, 5, 20, 9))
    assert scene.crowd.tolist() == [True]


def test_outlines_of_some_are_outlines_of_none(read):
    square = {"segmentation": [[10, 10, 20, 10, 20, 20]]}

    assert only(read([(1, 1, square), (1, 1, (1, 1, 2, 2))])).outlines is None


def test_what_hangs_over_the_edge_is_cut_off(read):
    scene = only(read([(1, 1, (-5, 30, 10, 20))]))

    assert scene.boxes.tolist() == [[0, 30, 5, 40]]


def test_an_outline_over_the_edge_is_cut_off_and_its_box_is_tight(read):
    triangle = {"segmentation": [[50, 0, 70, 20, 50, 20]]}
    scene = only(read([(1, 1, triangle)]))

    assert scene.boxes.tolist() == [[50, 0, 60, 20]]
    assert scene.outlines[0].area == pytest.approx(200 - 50)


def test_slivers_at_the_edge_are_none_of_the_objects(read):
    assert len(only(read([(1, 1, (59.5, 5, 9, 9)), (1, 1, (60.2, 5, 9, 9))])).boxes) == 0


def test_small_objects_within_stay(read):
    assert only(read([(1, 1, (5, 5, 0.25, 0.25))])).boxes.tolist() == [[5, 5, 5.25, 5.25]]


def test_the_scene_itself_may_be_given_for_its_folder(scene, tmp_path):
    labels = write_json(tmp_path / "x.json", coco(images=[("port.tif", 60, 40)]))

    assert only(read_collection(labels, scene)).uri == scene


@pytest.mark.parametrize(
    ("annotations", "message"),
    [
        ([(1, 1, (100, 5, 4, 4))], r"annotation 1 .*\(100, 5, 104, 9\).*outside.*60 x 40 px"),
        ([(1, 1, (5, 5, 0, 4))], r"annotation 1 .*\(5, 5, 5, 9\), which has no area; correct"),
        ([(1, 1, (5, 5, -3, 4))], r"which has no area"),
        ([(1, 9, (5, 5, 4, 4))], r"annotation 1 has the unknown category_id 9; .* 1 \(ship\)"),
        ([(8, 1, (5, 5, 4, 4))], r"annotation 1 has the image_id 8, which is not in the file"),
        ([(1, 1, {})], "neither a bbox nor a segmentation; give it one"),
        ([(1, 1, {"segmentation": [[1, 2, 3, 4]]})], "a polygon of fewer than three points"),
        ([(1, 1, {"segmentation": [[1, 1, 2, 2, 3, 3]]})], "an outline without area"),
        (
            [(1, 1, {"segmentation": {"size": [60, 40], "counts": [2400]}})],
            "a mask of 60 x 40 .* its scene is 40 x 60",
        ),
        (
            [(1, 1, {"segmentation": {"size": [40, 60], "counts": [3, 4]}})],
            "its runs have 7 px, but the mask has 40 x 60",
        ),
        ([(1, 1, {"segmentation": {"size": [40, 60], "counts": [2400]}})], "without pixels"),
        ([(1, 1, {"bbox": [1, 2, 3]})], r"labels\.json: .*bbox"),
    ],
)
def test_a_label_that_cannot_be_is_refused_with_its_place(read, annotations, message):
    with pytest.raises(LabelsError, match=message):
        read(annotations)


def test_a_class_that_was_not_asked_for_is_refused(read):
    with pytest.raises(LabelsError, match=r"'buoy', but the classes are ship\. Add the class"):
        read([(1, 2, (1, 1, 2, 2))], categories=("ship", "buoy"), classes=["ship"])


@pytest.mark.parametrize("what", ["images", "annotations", "categories"])
def test_what_is_given_twice_is_refused(read, what):
    def repeat(content):
        content[what] *= 2

    with pytest.raises(LabelsError, match=r"the (image|annotation|category) id 1 occurs twice"):
        read([(1, 1, (1, 1, 2, 2))], change=repeat)


def test_two_images_of_one_file_are_refused(read):
    with pytest.raises(LabelsError, match=r"the file_name 'port\.tif' occurs twice"):
        read(images=[("port.tif", 60, 40), ("port.tif", 60, 40)])


def test_a_missing_scene_is_named(read):
    with pytest.raises(
        LabelsError, match=r"image 2 has the file_name away\.tif, but there is no scene at .*away"
    ):
        read(images=[("port.tif", 60, 40), ("away.tif", 60, 40)])


def test_a_scene_that_is_none_is_the_scenes_fault(read, tmp_path):
    (tmp_path / "bad.tif").write_bytes(b"no raster")

    with pytest.raises(SceneError, match=r"bad\.tif"):
        read(images=[("bad.tif", 60, 40)])


def test_labels_of_a_scene_of_another_size_are_refused(read):
    with pytest.raises(LabelsError, match=r"image 1 is 61 x 40 px, but .*port\.tif is 60 x 40"):
        read(images=[("port.tif", 61, 40)])


def test_scenes_of_other_bands_are_refused(read, make_scene):
    make_scene(np.zeros((3, 40, 60), np.uint8), name="color.tif")

    with pytest.raises(LabelsError, match=r"color\.tif has 3 bands, but .*port\.tif has 1; give"):
        read(images=[("port.tif", 60, 40), ("color.tif", 60, 40)])


def test_scenes_of_other_bands_go_together_where_all_are_named(read, make_scene):
    pixels = np.zeros((2, 40, 60), np.uint8)
    make_scene(pixels, name="two.tif", names=["red", "nir"])
    make_scene(pixels[:1], name="one.tif", names=["red"])

    assert len(read(images=[("two.tif", 60, 40), ("one.tif", 60, 40)]).scenes) == 2
