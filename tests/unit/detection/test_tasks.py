import msgspec
import numpy as np
import pytest
import shapely

from swath.detection.detections import NO_LABEL, Detections
from swath.detection.tasks import create_task
from swath.models.package import describe_package
from swath.raster.tiles import Grid
from tests.helpers.packages import for_task, write_package

SIZE = 16
GRID = Grid(width=40, height=28, size=SIZE, overlap=4)


@pytest.fixture
def make_task(tmp_path):
    """Return a function that creates the task of a package whose output has the given shape."""

    def make(task, shape, *, grid=GRID, **options):
        folder = write_package(tmp_path / "model", for_task(task, {"pred": shape}, **options))
        return create_task(describe_package(folder).description, grid)

    return make


@pytest.fixture
def classify(make_task):
    return lambda **options: make_task("scene-classification", [-1, 2], classes="ab", **options)


@pytest.fixture
def segment(make_task):
    shape = [-1, 2, SIZE, SIZE]
    return lambda **options: make_task("semantic-segmentation", shape, classes="ab", **options)


def scores(*values):
    return (np.array(values, np.float32),)


def test_classes_of_tiles_partition_the_scene(classify):
    task = classify()
    tiles = [GRID.tile(number) for number in range(GRID.count)]

    seen = Detections.concatenate(
        [task.decode(scores(0.1, 0.9), tile, None).detections for tile in tiles]
    )
    found = task.keep_owned(seen)

    assert len(found) == GRID.count
    assert not found.flags.any()
    assert shapely.union_all(shapely.box(*found.box.T)).equals(shapely.box(0, 0, 40, 28))
    assert shapely.area(shapely.box(*found.box.T)).sum() == 40 * 28
    assert set(found.label.tolist()) == {1}


@pytest.mark.parametrize(
    ("given", "options"), [((0.4, 0.4), {}), ((0.9, 0.1), {"background": "a"})]
)
def test_a_tile_of_no_class_is_not_reported(classify, given, options):
    seen = classify(**options).decode(scores(*given), GRID.tile(0), None)

    assert len(seen.detections) == 0


def test_a_tile_whose_core_has_no_valid_pixel_is_not_reported(classify):
    tile = GRID.tile(0)
    valid = np.zeros((SIZE, SIZE), bool)
    valid[:, tile.core[2] :] = True

    assert len(classify().decode(scores(0.9, 0), tile, valid).detections) == 0

    valid[3, 3] = True
    assert len(classify().decode(scores(0.9, 0), tile, valid).detections) == 1


def test_classes_of_tiles_leave_nothing_to_stitch(classify):
    task = classify()
    nothing = Detections.empty()

    settled, flagged = task.stitch_interior(nothing, lambda tiles: tiles >= 0)

    assert len(settled) == len(flagged) == len(task.stitch(nothing)) == 0


@pytest.fixture
def picture():
    """Return class scores (2, rows, cols): b in a square, a elsewhere, one uncertain row."""
    b = np.zeros((SIZE, SIZE), np.float32)
    b[2:6, 3:8] = 0.75
    b[12] = 0.45
    return (np.stack([np.minimum(1 - b, 0.9) - (b == np.float32(0.45)) * 0.15, b]),)


def test_segments_of_a_core(segment, picture):
    tile = GRID.tile(0)

    seen = segment(mask=True, background="a").decode(picture, tile, None)

    assert seen.detections.outline[0].equals(shapely.box(3, 2, 8, 6))
    assert seen.detections.score.tolist() == [0.75]
    assert seen.detections.label.tolist() == [1]
    assert seen.labels.shape == (tile.core[3] - tile.core[1], tile.core[2] - tile.core[0])
    assert set(np.unique(seen.labels)) == {1, NO_LABEL}


def test_a_class_that_is_no_background_has_outlines_too(segment, picture):
    tile = GRID.tile(0)
    valid = np.ones((SIZE, SIZE), bool)
    valid[:, 0] = False

    seen = segment().decode(picture, tile, valid)

    x1, y1 = tile.core[2:]
    assert seen.labels is None
    assert sorted(seen.detections.label.tolist()) == [0, 0, 1]
    total = shapely.area(seen.detections.outline).sum()
    assert total == (x1 - 1) * y1 - (x1 - 1)


def test_segments_are_joined_across_cores(segment):
    task = segment(background="a", min_area=20)
    everywhere = (np.stack([np.zeros((SIZE, SIZE)), np.ones((SIZE, SIZE))]).astype(np.float32),)
    seen = [task.decode(everywhere, GRID.tile(n), None).detections for n in range(GRID.count)]

    found = task.stitch(task.keep_owned(Detections.concatenate(seen)))

    assert len(found) == 1
    assert found.outline[0].equals(shapely.box(0, 0, 40, 28))


def test_small_segments_are_dropped(segment, picture):
    task = segment(background="a", min_area=21)

    assert len(task.keep_owned(task.decode(picture, GRID.tile(0), None).detections)) == 0


def test_objects_are_kept_by_their_owner_and_stitched(make_task):
    task = make_task("object-detection", [-1, 5, -1], box_format="xyxy")
    bar = [2, 4, 38, 8]
    seen = []
    for number in range(GRID.columns):
        tile = GRID.tile(number)
        box = np.array(bar) - [tile.x, tile.y] * 2
        row = np.array([[*np.clip(box, 0, SIZE), 0.9]], np.float32)
        seen.append(task.decode((row.T,), tile, None).detections)

    flagged = task.keep_owned(Detections.concatenate(seen))
    settled, still = task.stitch_interior(flagged, lambda tiles: tiles < GRID.columns)

    assert (flagged.flags != 0).all()
    assert len(settled) + len(still) > 0
    found = Detections.concatenate([settled, task.stitch(still)])
    assert found.box.tolist() == [bar]


def test_oriented_boxes_stay_oriented_when_they_are_joined(make_task):
    task = make_task("object-detection", [-1, 6, -1], box_format="cxcywhr")
    whole = np.array([20.0, 10.0, 30.0, 3.0, 0.2])
    seen = []
    for number in range(GRID.count):
        tile = GRID.tile(number)
        part = outline_of(whole).intersection(shapely.box(*window_of(tile)))
        if part.area > 0:
            row = oriented_row(part, tile)
            seen.append(task.decode((row[:, None],), tile, None).detections)

    found = task.stitch(task.keep_owned(Detections.concatenate(seen)))

    best = found.outline[shapely.area(found.outline).argmax()]
    assert best.equals_exact(best.minimum_rotated_rectangle, 1e-6, normalize=True)
    expected = outline_of(whole)
    assert best.intersection(expected).area / best.union(expected).area > 0.7


def window_of(tile):
    x, y, width, height = tile.window
    return x, y, x + width, y + height


def outline_of(numbers):
    x, y, width, height, angle = numbers
    turned = shapely.affinity.rotate(
        shapely.box(-width / 2, -height / 2, width / 2, height / 2), angle, (0, 0), use_radians=True
    )
    return shapely.affinity.translate(turned, x, y)


def oriented_row(part, tile):
    """Return the minimum oriented box around a polygon, as a row of the tile's output."""
    corners = np.array(part.minimum_rotated_rectangle.exterior.coords)[:4] - [tile.x, tile.y]
    sides = corners[1] - corners[0], corners[2] - corners[1]
    lengths = [np.hypot(*side) for side in sides]
    angle = np.arctan2(*sides[0][::-1])
    return np.array([*corners.mean(axis=0), *lengths, angle, 0.9], np.float32)


def test_the_package_says_how_objects_are_matched(make_task):
    merge = {"strategy": "wbf", "metric": "ios", "threshold": 0.25}

    task = make_task("object-detection", [-1, 5, -1], box_format="xyxy", merge=merge)

    assert msgspec.to_builtins(task.stitcher.matching) == merge | {"sigma": 0.5}
