"""Tests of packages evaluated by the engine, on scenes with known objects."""

import dataclasses
import json

import numpy as np
import pytest
import shapely
from rasterio.features import shapes

from swath.errors import LabelsError, PackageError, RunIncompleteError
from swath.evaluation import masks
from swath.evaluation.assess import assess
from swath.evaluation.evaluate import EVALUATION_FILE, REPORT_FILE, evaluate
from swath.evaluation.results import Evaluation
from swath.labels.collection import Collection
from swath.labels.read import read_collection
from swath.models.package import describe_package
from tests.helpers import oracles
from tests.helpers.labeled import HEIGHT, WIDTH, around, collection_of, dots
from tests.helpers.packages import TILE, for_task, write_package

# The dots lie inside tiles, on seams and in corners.
PLACES = [(5, 5), (13, 30), (14, 31), (12, 12), (0, 59), (99, 0), (50, 24), (90, 50)]


@pytest.fixture
def labeled(make_scene):
    """Return a function that makes a scene of dots and a collection with the given boxes."""

    def make(boxes, places=PLACES, **options):
        return collection_of([(make_scene(dots(places), **options), boxes)])

    return make


def measured(package, collection, out, **options):
    return evaluate(package, collection, out, report=False, **options)


def test_perfect(package, labeled, tmp_path):
    evaluation = measured(package, labeled(around(PLACES)), tmp_path / "out")

    assert {evaluation.metrics[name] for name in ("AP", "AR", "F1", "VOC_AP")} == {1.0}
    assert evaluation.confusion == [[len(PLACES), 0], [0, 0]]
    (scene,) = evaluation.scenes
    assert (scene.objects, scene.hits, scene.false, scene.missed) == (len(PLACES), 8, 0, 0)
    assert scene.tiles.planned == scene.tiles.succeeded == 40
    (one,) = evaluation.classes
    assert (one.name, one.objects, one.metrics["AP"]) == ("dot", 8, 1.0)


def test_shifted(package, labeled, tmp_path):
    boxes = around(PLACES) + np.array([0.5, 0, 0.5, 0])

    evaluation = measured(package, labeled(boxes), tmp_path / "out")

    # Each pair of boxes shares half of each box, a third of their union.
    assert evaluation.metrics["AP"] == evaluation.metrics["F1"] == 0
    assert evaluation.confusion == [[0, len(PLACES)], [len(PLACES), 0]]


def test_labeled_twice(package, labeled, tmp_path):
    boxes = np.concatenate([around(PLACES), around(PLACES)])

    evaluation = measured(package, labeled(boxes), tmp_path / "out")

    assert evaluation.metrics["precision"] == 1
    assert evaluation.metrics["recall"] == 0.5
    assert evaluation.metrics["AP50"] == pytest.approx(51 / 101)


def test_nothing_found(package, labeled, tmp_path):
    evaluation = evaluate(package, labeled(around(PLACES), places=[]), tmp_path / "out")

    assert evaluation.metrics["AP"] == evaluation.metrics["best_F1"] == 0
    assert evaluation.metrics["precision"] is None
    assert "The model detected nothing" in (tmp_path / "out" / REPORT_FILE).read_text()


def test_nothing_labeled(package, labeled, tmp_path):
    evaluation = evaluate(package, labeled(around([])), tmp_path / "out")

    assert evaluation.metrics["AP"] is None
    assert evaluation.metrics["precision"] == 0
    assert evaluation.confusion == [[0, 0], [len(PLACES), 0]]


def test_curves_reach_below_the_packages_own_threshold(package, make_scene, tmp_path):
    places = [(5, 5, 0.9), (40, 40, 0.3), (80, 20, 0.2)]
    collection = collection_of([(make_scene(dots(places)), around(places))])

    evaluation = measured(package, collection, tmp_path / "out", score_floor=0.25)

    assert evaluation.curve.score == pytest.approx([0.9, 0.3])
    assert evaluation.package.score_threshold == 0.5
    assert evaluation.metrics["recall"] == pytest.approx(1 / 3)
    assert evaluation.metrics["best_F1"] == pytest.approx(4 / 5)
    assert evaluation.metrics["best_threshold"] == pytest.approx(0.3)
    assert evaluation.metrics["AP50"] == pytest.approx(67 / 101)
    assert evaluation.conditions.score_floor == evaluation.package.reported_from == 0.25


def test_the_package_itself_is_left_alone(package, labeled, tmp_path):
    before = describe_package(package).digest

    evaluation = measured(package, labeled(around(PLACES)), tmp_path / "out")

    assert evaluation.package.digest == describe_package(package).digest == before
    assert [path.name for path in (tmp_path / "out").iterdir()] == [EVALUATION_FILE]


def test_what_is_written_can_be_read_again(package, labeled, tmp_path):
    collection = labeled(around(PLACES))

    evaluation = measured(package, collection, tmp_path / "out")

    text = json.loads((tmp_path / "out" / EVALUATION_FILE).read_text())
    assert Evaluation.from_json(text) == evaluation
    assert text["collection"]["digest"] == collection.digest


def test_several_scenes_add_up(package, make_scene, tmp_path):
    uris = [make_scene(dots(PLACES[at::2]), name=f"{at}.tif") for at in (0, 1)]
    collection = collection_of([(uris[0], around(PLACES[::2])), (uris[1], around(PLACES[::2]))])

    evaluation = measured(package, collection, tmp_path / "out")

    assert [scene.hits for scene in evaluation.scenes] == [4, 0]
    assert evaluation.metrics["recall"] == evaluation.metrics["precision"] == 0.5


def test_progress_is_reported_by_scene(package, labeled, tmp_path):
    collection, told = labeled(around(PLACES)), []

    measured(package, collection, tmp_path / "out", progress=lambda *a: told.append(a))

    uri = collection.scenes[0].uri
    assert {(scene, total) for scene, _, total in told} == {(uri, 40)}
    assert (told[0][1], told[-1][1]) == (0, 40)


def test_labels_of_other_classes(package, labeled, tmp_path):
    collection = labeled(around(PLACES))
    others = Collection.from_scenes(collection.scenes, ["ship"])

    with pytest.raises(
        LabelsError, match=r"the labels have the classes \['ship'\], and the model has \['dot'\]"
    ):
        measured(package, others, tmp_path / "out")


@pytest.mark.parametrize("name", ["Dot", " dot", "DOT", "dot_"])
def test_classes_that_look_alike(package, labeled, tmp_path, name):
    collection = labeled(around(PLACES))
    others = Collection.from_scenes(collection.scenes, [name, "ship"])

    with pytest.raises(
        LabelsError, match=f"the labels have the class '{name}', and the model has '"
    ):
        measured(package, others, tmp_path / "out")


def test_the_name_of_what_is_of_no_class(package, labeled, tmp_path):
    scenes = labeled(around(PLACES)).scenes

    with pytest.raises(LabelsError, match=r"a class '\(background\)'.*rename the class"):
        measured(package, Collection.from_scenes(scenes, ["dot", "(background)"]), tmp_path / "out")


def test_objects_of_a_class_that_the_model_does_not_know(package, labeled, tmp_path):
    (scene,) = labeled(around(PLACES)).scenes
    classes = np.array([0] * 5 + [1] * 3)
    collection = Collection.from_scenes(
        [dataclasses.replace(scene, classes=classes)], ["dot", "ship", "car"]
    )

    evaluation = measured(package, collection, tmp_path / "out")

    assert [one.metrics["AP"] for one in evaluation.classes[1:]] == [0, None]
    assert evaluation.confusion[1][1] == 0
    (warning,) = evaluation.warnings
    assert "the model has no class 'ship', so its 3 objects count as missed" in warning


def test_objects_labeled_twice_give_a_warning(package, labeled, tmp_path):
    boxes = np.concatenate([around(PLACES), around(PLACES[:2])])

    evaluation = measured(package, labeled(boxes), tmp_path / "out")

    (warning,) = evaluation.warnings
    assert "scene.tif: 2 objects are labeled twice, such as at (5, 5, 6, 6)" in warning


def test_failed_tiles_give_a_warning(package, make_scene, tmp_path):
    pixels = dots(PLACES)
    pixels[0, 50, 80] = -1  # the model returns NaN
    collection = collection_of([(make_scene(pixels), around(PLACES))])

    evaluation = measured(package, collection, tmp_path / "out", tolerated_failures=0.2)

    failed = evaluation.scenes[0].tiles.failed
    assert failed
    assert f"{failed} of 40 tiles failed" in " ".join(evaluation.warnings)


def test_a_scene_without_objects_changes_counts_alone(package, make_scene, tmp_path):
    one = make_scene(dots(PLACES[1:]), name="one.tif")
    two = make_scene(dots([]), name="two.tif")
    alone = collection_of([(one, around(PLACES[:-1]))])
    both = collection_of([(one, around(PLACES[:-1])), (two, around([]))])

    first, second = (
        measured(package, collection, tmp_path / str(number))
        for number, collection in enumerate([alone, both])
    )

    assert second.metrics == first.metrics
    assert second.classes == first.classes
    assert second.confusion == first.confusion
    assert (first.collection.scenes, second.collection.scenes) == (1, 2)


def test_an_object_beyond_cocos_largest_counts(package, labeled, tmp_path):
    collection = labeled(around(PLACES))
    (scene,) = collection.scenes
    vast = dataclasses.replace(scene, areas=np.full(len(PLACES), 1.1e10))

    evaluation = measured(package, Collection.from_scenes([vast], ["dot"]), tmp_path / "out")

    assert evaluation.metrics["AP"] == evaluation.metrics["AP_large"] == 1


def test_a_scene_of_another_size_than_its_labels(package, labeled, tmp_path):
    (scene,) = labeled(around(PLACES)).scenes
    wrong = Collection.from_scenes([dataclasses.replace(scene, width=99)], ["dot"])

    with pytest.raises(LabelsError, match="has 100 x 60 px, but its labels state 99 x 60 px"):
        measured(package, wrong, tmp_path / "out")


def test_no_scene(package, tmp_path):
    with pytest.raises(LabelsError, match="no scene"):
        measured(package, Collection.from_scenes([], ["dot"]), tmp_path / "out")


def test_classes_of_tiles_are_not_measured(labeled, tmp_path):
    change = for_task("scene-classification", {"scores": [-1, 2]}, classes=("other", "dot"))
    package = write_package(tmp_path / "model", change, weights=oracles.mean())

    with pytest.raises(PackageError, match="bright classifies whole tiles"):
        measured(package, labeled(around(PLACES)), tmp_path / "out")


def test_nothing_of_an_earlier_evaluation_is_left_by_one_that_fails(package, make_scene, tmp_path):
    out = tmp_path / "out"
    killed = out / ".work-abc"
    killed.mkdir(parents=True)
    (killed / "half").write_text("half")
    (out / "notes.txt").write_text("mine")
    good = collection_of([(make_scene(dots(PLACES)), around(PLACES))])
    assess(package, good, out, against=str(package))
    pixels = dots(PLACES)
    pixels[0, 0, 0] = -1
    bad = collection_of([(make_scene(pixels), around(PLACES))])

    with pytest.raises(RunIncompleteError):
        assess(package, bad, out, against=str(package))

    left = sorted(str(path.relative_to(out)) for path in out.rglob("*"))
    assert left == ["in-use", "notes.txt"]


def test_a_run_that_fails(package, make_scene, tmp_path):
    scene = make_scene(np.full((1, 16, 16), -1, np.int16))

    with pytest.raises(RunIncompleteError, match="the model returned NaN"):
        measured(package, collection_of([(scene, around([]))]), tmp_path / "out")


def blobs():
    noise = np.random.default_rng(5).random((HEIGHT // 2, WIDTH // 2))
    return np.kron(noise < 0.4, np.ones((2, 2), bool))


def regions(labels):
    """Return the outlines of regions of True in `labels` (rows, cols), by rasterio."""
    predictions = shapes(labels.astype(np.uint8), mask=labels, connectivity=4)
    return np.array([shapely.geometry.shape(shape) for shape, _ in predictions], object)


@pytest.fixture
def water(tmp_path):
    change = for_task(
        "semantic-segmentation",
        {"scores": [-1, 2, TILE, TILE]},
        classes=("land", "water"),
        background="land",
    )
    return write_package(tmp_path / "water", change, weights=oracles.two_classes())


@pytest.fixture
def pools(make_scene):
    """Return a function that makes a scene of water at `blobs`, and labels of the given water."""

    def make(known, mask=None):
        pixels = np.where(blobs(), 80, 10).astype(np.uint8)[None]
        return collection_of([(make_scene(pixels, mask=mask), regions(known))], ["water"])

    return make


def test_a_perfect_segmentation(water, pools, tmp_path, monkeypatch):
    monkeypatch.setattr(masks, "_WINDOW_PX", 23)

    evaluation = measured(water, pools(blobs()), tmp_path / "out")

    names = ("mIoU", "mIoU_with_background", "pixel_F1", "polygon_F1", "AP")
    assert {evaluation.metrics[name] for name in names} == {1.0}
    assert evaluation.pixels.counts == [[blobs().sum(), 0], [0, (~blobs()).sum()]]
    assert evaluation.conditions.compared == "outlines"
    assert evaluation.package.reported_from == evaluation.package.score_threshold == 0.5


def test_a_segmentation_of_half_the_water(water, pools, tmp_path):
    known = blobs().copy()
    known[:, 50:] = False

    evaluation = measured(water, pools(known), tmp_path / "out")

    expected = known.sum() / blobs().sum()
    assert evaluation.metrics["mIoU"] == evaluation.pixels.iou["water"] == pytest.approx(expected)
    assert evaluation.metrics["pixel_accuracy"] == pytest.approx(
        (known == blobs()).sum() / known.size
    )
    assert 0 < evaluation.metrics["polygon_F1"] < 1


def test_pixels_without_data_are_not_counted(water, pools, tmp_path):
    valid = np.ones((HEIGHT, WIDTH), np.uint8) * 255
    valid[:, :20] = 0

    evaluation = measured(water, pools(blobs(), mask=valid), tmp_path / "out")

    assert np.sum(evaluation.pixels.counts) == HEIGHT * (WIDTH - 20)
    assert evaluation.metrics["mIoU"] == 1


def test_instances_are_compared_by_their_outlines(make_scene, tmp_path):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[3:7, 4:9] = pixels[3:12, 4:6] = 1
    pixels[20:29, 20:29] = 2
    boxes = {"boxes": [-1, 4], "labels": [-1], "scores": [-1]}
    change = for_task(
        "instance-segmentation",
        boxes | {"masks": [-1, 1, TILE, TILE]},
        classes=("thing",),
        first_label=1,
    )
    model = write_package(tmp_path / "model", change, weights=oracles.objects_as_masks())
    outlines = np.concatenate([regions(pixels == 1), regions(pixels == 2)])
    collection = collection_of([(make_scene(pixels[None]), outlines)], ["thing"])

    evaluation = measured(model, collection, tmp_path / "out")

    assert evaluation.metrics["AP"] == evaluation.metrics["mIoU"] == 1
    assert evaluation.pixels.counts[0] == [(pixels > 0).sum(), 0]


def test_outlines_need_outlines(water, labeled, tmp_path):
    collection = Collection.from_scenes(labeled(around(PLACES)).scenes, ["water"])

    with pytest.raises(LabelsError, match="label the objects with polygons"):
        measured(water, collection, tmp_path / "out")


def describe_ships(item):
    """Change an `mlm.json` into that of the small ship detector in the test data."""
    properties = item["properties"]
    source, target = properties["mlm:input"][0], properties["mlm:output"][0]
    source["bands"] = ["B02", "B03", "B04", "B08", "B11"]
    source["input"]["shape"] = [-1, 5, 256, 256]
    source["value_scaling"] = None
    target["result"]["shape"] = [-1, 5, 16384]
    target["classification:classes"] = [{"value": 0, "name": "ship"}]
    properties["mlm:hyperparameters"] |= {
        "overlap": 64,
        "score_threshold": 0.2,
        "iou_threshold": 0.3,
    }


def test_ships(data, tmp_path):
    """Check the known metric of a port outside the training data, at the model's threshold."""
    folder = data / "ships_s2"
    collection = read_collection(str(folder / "val.json"), str(folder))
    weights = (data / "models" / "ships_5band_256.onnx").read_bytes()
    package = write_package(tmp_path / "ships", describe_ships, weights=weights)

    evaluation = measured(package, collection, tmp_path / "out", score_floor=0.2)

    assert evaluation.metrics["AP50"] == pytest.approx(0.2824, abs=1e-3)
    assert evaluation.collection.objects == 54
    assert evaluation.scenes[0].hits == 24
