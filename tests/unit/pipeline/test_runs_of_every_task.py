"""Tests of every task from a package to GeoParquet, against the objects of the scene."""

import numpy as np
import pyarrow.parquet as pq
import pytest
import rasterio
import shapely
from rasterio.features import shapes
from rasterio.warp import transform

from swath.detection.decode.box_formats import corners_to_polygons, to_corners
from swath.detection.detections import NO_LABEL
from swath.models.package import describe_package
from swath.pipeline.local import run_local
from swath.pipeline.merge import merge_run
from swath.pipeline.run_store import RunStore
from swath.pipeline.shard import run_shard
from swath.raster.tiles import Grid
from tests.helpers import oracles
from tests.helpers.packages import TILE, for_task, write_package
from tests.helpers.rasters import NORTH_UP, UTM

HEIGHT, WIDTH = 44, 60
BOXES = {"boxes": [-1, 4], "labels": [-1], "scores": [-1]}
INSTANCES = {
    "torchvision": (
        oracles.objects_as_masks,
        BOXES | {"masks": [-1, 1, TILE, TILE]},
        {"first_label": 1},
    ),
    "prototypes": (
        oracles.objects_as_prototypes,
        {"pred": [-1, 8, 3], "protos": [-1, 3, TILE, TILE]},
        {"head": "prototypes", "box_format": "xyxy"},
    ),
}


@pytest.fixture
def run(tmp_path, make_scene, make_plan):
    """Return a function that runs a network on pixels in shards.

    It returns the rows and summary.
    """

    def infer(pixels, net, change, *, shard_tiles=1000):
        model = write_package(tmp_path / "model", change, weights=net)
        plan_uri = make_plan(make_scene(pixels[None]), model=model, shard_tiles=shard_tiles)
        for index in range(len(RunStore.open(plan_uri).plan.shards)):
            run_shard(plan_uri, index)
        summary = merge_run(plan_uri)
        return pq.read_table(summary.uri), summary

    return infer


def outlines_in(table):
    """Return the geometries in px of the scene."""

    def to_pixels(points):
        x, y = ~NORTH_UP @ np.array(transform("EPSG:4326", UTM, *points.T))
        return np.stack([x, y], axis=1)

    return shapely.transform(shapely.from_wkb(table["geometry"].to_numpy()), to_pixels)


def polygonize(labels):
    """Return (class, outline) of each region of `labels` (rows, cols), by rasterio."""
    found = shapes(labels, mask=labels != NO_LABEL, connectivity=4)
    return [(int(label), shapely.geometry.shape(shape)) for shape, label in found]


def assert_same(found, expected):
    """Check that the outlines are equal, up to the rounding of two projections."""
    assert len(found) == len(expected)
    tree = shapely.STRtree(found)
    for outline in expected:
        near = found[tree.query(outline, predicate="intersects")]
        assert min(shapely.area(shapely.symmetric_difference(near, outline))) < 1e-3


def blobs(seed=5):
    """Return regions of any shape and size, with holes: (rows, cols), True = region."""
    noise = np.random.default_rng(seed).random((HEIGHT // 2, WIDTH // 2))
    return np.kron(noise < 0.45, np.ones((2, 2), bool))


def drawn():
    """Return numbered objects (rows, cols): larger than the overlap, holed, small, adjacent."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[3:7, 4:50] = pixels[3:30, 4:9] = 1
    pixels[14:36, 20:40] = 2
    pixels[20:28, 26:34] = 0
    pixels[22:25, 28:31] = 3
    pixels[40:43, 50:58] = 3
    return pixels


def boxed():
    """Return numbered objects (rows, cols) that fill their boxes, so a box describes each fully."""
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[3:7, 4:50], pixels[14:36, 20:40] = 1, 2
    pixels[9:12, 2:5] = pixels[40:43, 50:58] = 3
    return pixels


def objects_in(pixels):
    """Return the outlines of the objects."""
    return [shape for label, shape in polygonize(pixels) if label]


@pytest.mark.parametrize("shard_tiles", [1, 3, 1000])
def test_semantic_segmentation(run, shard_tiles):
    pixels = np.where(blobs(), 80, 10).astype(np.uint8)
    change = for_task(
        "semantic-segmentation",
        {"scores": [-1, 2, TILE, TILE]},
        classes=("land", "water"),
        background="land",
        mask=True,
    )

    table, summary = run(pixels, oracles.two_classes(), change, shard_tiles=shard_tiles)

    truth = np.where(blobs(), 1, NO_LABEL).astype(np.uint8)
    assert_same(outlines_in(table), [shape for _, shape in polygonize(truth)])
    assert set(table["class"].to_pylist()) == {"water"}
    np.testing.assert_allclose(table["score"], 0.8, atol=1e-6)
    with rasterio.open(summary.mask_uri) as mask:
        np.testing.assert_array_equal(mask.read(1), truth)


def test_a_label_map(run):
    pixels = (blobs() + 2 * blobs(6)).astype(np.uint8)
    change = for_task(
        "semantic-segmentation",
        {"labels": [-1, TILE, TILE]},
        classes="abc",
        head="labels",
        ignore_label=3,
        background="a",
    )

    table, summary = run(pixels, oracles.label_map(), change, shard_tiles=2)

    truth = np.where((pixels == 0) | (pixels == 3), NO_LABEL, pixels)
    for name, label in (("b", 1), ("c", 2)):
        expected = [shape for value, shape in polygonize(truth) if value == label]
        of_class = np.array(table["class"].to_pylist()) == name
        assert_same(outlines_in(table)[of_class], expected)
    assert not summary.mask_uri


@pytest.mark.parametrize("shard_tiles", [3, 1000])
def test_tile_classification(run, shard_tiles):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    pixels[:, 28:] = 100
    change = for_task("scene-classification", {"scores": [-1, 2]}, classes=("sea", "port"))

    table, _ = run(pixels, oracles.mean(), change, shard_tiles=shard_tiles)

    grid = Grid(width=WIDTH, height=HEIGHT, size=TILE, overlap=4)
    padded = np.pad(pixels / 100, ((0, TILE), (0, TILE)))
    tiles = [grid.tile(number) for number in range(grid.count)]
    means = [padded[t.y : t.y + TILE, t.x : t.x + TILE].mean() for t in tiles]
    found = dict(zip(table["tile"].to_pylist(), table["class"].to_pylist(), strict=True))
    assert found == {n: "port" if share > 0.5 else "sea" for n, share in enumerate(means)}
    assert_same(outlines_in(table), [shapely.box(*tile.core) for tile in tiles])


@pytest.mark.parametrize("head", INSTANCES)
@pytest.mark.parametrize("shard_tiles", [1, 1000])
def test_instances(run, head, shard_tiles):
    net, shapes_, options = INSTANCES[head]
    change = for_task("instance-segmentation", shapes_, **options)

    table, _ = run(drawn(), net(), change, shard_tiles=shard_tiles)

    assert_same(outlines_in(table), objects_in(drawn()))
    np.testing.assert_allclose(table["score"], 0.9, atol=1e-4)


def test_oriented_boxes(run):
    pixels = np.zeros((HEIGHT, WIDTH), np.uint8)
    places = [(5, 5), (20, 13), (41, 20), (30, 36), (52, 38)]
    for x, y in places:
        pixels[y, x] = 90
    change = for_task(
        "object-detection", {"pred": [-1, 6, TILE * TILE]}, overlap=12, box_format="cxcywhr"
    )

    table, _ = run(pixels, oracles.turned_pixels(5, 2, 0.5), change, shard_tiles=9)

    boxes = np.array([[x + 0.5, y + 0.5, 5, 2, 0.5] for x, y in places])
    assert_same(outlines_in(table), corners_to_polygons(to_corners(boxes, "cxcywhr")))


@pytest.mark.parametrize(
    ("net", "outputs", "options"),
    [
        (
            oracles.objects_as_queries,
            {"logits": [-1, 3, 2], "pred_boxes": [-1, 3, 4]},
            {"head": "detr"},
        ),
        (oracles.objects_as_masks, BOXES, {"head": "torchvision", "first_label": 1}),
    ],
)
def test_detection_from_several_outputs(run, net, outputs, options):
    change = for_task("object-detection", outputs, **options)

    table, _ = run(boxed(), net(), change, shard_tiles=4)

    assert_same(outlines_in(table), objects_in(boxed()))


def test_a_local_run_leaves_the_mask(tmp_path, make_scene):
    change = for_task(
        "semantic-segmentation", {"scores": [-1, 2, TILE, TILE]}, classes="ab", mask=True
    )
    model = write_package(tmp_path / "model", change, weights=oracles.two_classes())
    pixels = np.where(blobs(), 80, 10).astype(np.uint8)

    run_local(make_scene(pixels[None]), str(model), tmp_path / "out")

    with rasterio.open(tmp_path / "out" / "mask.tif") as mask:
        np.testing.assert_array_equal(mask.read(1), blobs())
    assert describe_package(model).description.mask
