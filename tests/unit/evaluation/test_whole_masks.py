"""Tests of pixel metrics of whole evaluations, against a computation at the center of each pixel.

The evaluations are random:

- polygons of three classes, one of them the model's background
- polygons that nest, touch, cross tiles and windows, have holes or extend over the scene's edge
- crowds, and nodata pixels
- predictions, one class for each pixel; one of the classes has no labels
"""

import dataclasses

import numpy as np
import pytest
import shapely

from swath.evaluation import masks
from swath.evaluation.evaluate import evaluate
from swath.evaluation.metrics.objects import GroundTruth
from swath.labels.collection import Collection
from swath.labels.objects import Objects, to_valid_polygons
from swath.training.data.class_maps import UNKNOWN_CLASS, ClassMapRasterizer
from swath.training.data.crop import NO_CLASS
from tests.helpers import oracles
from tests.helpers.fuzzing import draws
from tests.helpers.labeled import HEIGHT, WIDTH, collection_of
from tests.helpers.packages import TILE, for_task, write_package

LABELS = ("road", "land", "water")
MODEL = ("land", "water", "road", "cloud")
MEASURED = ("road", "water")
CROWDED = 0.25


@pytest.fixture
def package(tmp_path):
    shape = {"labels": [-1, TILE, TILE]}
    change = for_task(
        "semantic-segmentation", shape, classes=MODEL, head="labels", background="land"
    )
    return write_package(tmp_path / "map", change, weights=oracles.label_map())


def polygon(rng):
    """Return a polygon of a few corners. One in three has a hole."""
    middle = rng.uniform((0, 0), (WIDTH, HEIGHT))
    angles = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    reach = rng.uniform(0.2, 1, len(angles)) * rng.choice([3, 10, 30])
    ring = middle + np.stack([np.cos(angles), np.sin(angles)], 1) * reach[:, None]
    shape = to_valid_polygons(shapely.Polygon(ring))
    if rng.random() < 0.3:
        shape = shape.difference(shape.buffer(-0.2 * reach.mean()))
    return shape


def labels(rng):
    """Return outlines, classes and crowds, clipped to the scene as the label reader clips them."""
    drawn = [polygon(rng) for _ in range(rng.integers(0, 9))]
    drawn += [shape.buffer(-2) for shape in drawn if rng.random() < 0.5]  # nested, or empty
    drawn += [shapely.affinity.translate(shape, 40) for shape in drawn[:2]]
    whole = np.array([shape for shape in drawn if shape.area > 1], object)
    return Objects(
        boxes=shapely.bounds(whole).reshape(-1, 4),
        classes=rng.integers(0, len(LABELS), len(whole)),
        crowd=rng.random(len(whole)) < CROWDED,
        outlines=whole,
    ).clip((0, 0, WIDTH, HEIGHT), min_visible_share=0)


def known_at_each_pixel(objects, background):
    """Return (rows, cols): the class of the smallest object at each center, -1 for crowds only."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    known = np.full((HEIGHT, WIDTH), background)
    inside = [shapely.contains_xy(outline, x, y) for outline in objects.outlines]
    for one, crowd in zip(inside, objects.crowd, strict=True):
        known[one & crowd] = -1
    for row in np.argsort(-shapely.area(objects.outlines), kind="stable"):
        if not objects.crowd[row]:
            known[inside[row]] = objects.classes[row]
    return known


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(draws(4, fuzz=200)))
def test_pixels_are_those_of_a_loop_over_them(package, make_scene, tmp_path, monkeypatch, seed):
    monkeypatch.setattr(masks, "_WINDOW_PX", 37)
    rng = np.random.default_rng(seed)
    said = rng.integers(0, len(MODEL), (HEIGHT // 4, WIDTH // 4)).repeat(4, 0).repeat(4, 1)
    valid = rng.random((HEIGHT, WIDTH)) < rng.choice([0.9, 1.0])
    scene = make_scene(said[None].astype(np.uint8), mask=valid.astype(np.uint8) * 255)
    objects = labels(rng)
    (labeled,) = collection_of([(scene, objects.outlines)]).scenes
    labeled = dataclasses.replace(labeled, classes=objects.classes, crowd=objects.crowd)

    evaluation = evaluate(
        package, Collection.from_scenes([labeled], LABELS), tmp_path / "out", report=False
    )

    known = known_at_each_pixel(objects, LABELS.index("land"))
    numbers = {name: place for place, name in enumerate(MEASURED)}
    of_labels = np.array([numbers.get(name, 2) for name in LABELS])
    of_model = np.array([numbers.get(name, 2) for name in MODEL])
    counts = np.zeros((3, 3), int)
    counted = valid & (known >= 0)
    np.add.at(counts, (of_labels[known[counted]], of_model[said[counted]]), 1)
    assert evaluation.pixels.counts == counts.tolist()
    shares = [share(counts[i, i], counts[i].sum() + counts[:, i].sum()) for i in range(3)]
    assert list(evaluation.pixels.f1.values()) == pytest.approx(
        [None if s is None else 2 * s for s in shares]
    )
    iou = [None if s is None else s / (1 - s) for s in shares]
    assert list(evaluation.pixels.iou.values()) == pytest.approx(iou)
    several = [one for one in iou[:2] if one is not None]
    assert evaluation.metrics["mIoU"] == (pytest.approx(np.mean(several)) if several else None)
    assert evaluation.metrics["pixel_accuracy"] == pytest.approx(counts.trace() / counts.sum())


def share(part, whole):
    return part / whole if whole else None


@pytest.mark.fuzz
@pytest.mark.parametrize("seed", range(draws(10, fuzz=500)))
def test_what_is_trained_on_is_what_is_measured_against(make_scene, seed):
    objects = labels(np.random.default_rng(seed))
    scene = make_scene(np.zeros((1, HEIGHT, WIDTH), np.uint8))
    (labeled,) = collection_of([(scene, objects.outlines)]).scenes
    labeled = dataclasses.replace(labeled, classes=objects.classes, crowd=objects.crowd)

    painted = ClassMapRasterizer(Collection.from_scenes([labeled], LABELS))(
        0, (0, 0, WIDTH, HEIGHT)
    ).astype(int)

    painted[painted == NO_CLASS] = len(LABELS)
    painted[painted == UNKNOWN_CLASS] = -1
    np.testing.assert_array_equal(painted, known_at_each_pixel(objects, len(LABELS)))


def test_more_classes_than_a_byte_holds(make_scene):
    scene = make_scene(np.ones((1, HEIGHT, WIDTH), np.uint8))
    one = np.array([shapely.box(0, 0, 10, 10)], object)
    truth = GroundTruth(
        scene=np.zeros(1, np.int64),
        label=np.array([299]),
        box=shapely.bounds(one),
        outline=one,
        crowd=np.zeros(1, np.bool_),
    )

    counts = masks.count_scene_pixels(
        scene, ["gray"], truth, masks.make_rasterizer(truth, 300), 300
    )

    assert (counts[299, 299], counts[300, 300]) == (100, HEIGHT * WIDTH - 100)
