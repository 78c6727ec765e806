"""The picture of a scene with its detections."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from local_cloud.demo.preview import COLORS, GAP_PX, OVERVIEW_SIDE_PX, LabeledBoxes, draw_preview

NOTHING = LabeledBoxes(np.empty((0, 4)), np.empty(0, dtype=np.str_))


def write_scene(path: Path, *, width: int, height: int, bands: int) -> Path:
    profile = {"driver": "GTiff", "dtype": "uint16", "nodata": 0}
    pixels = np.random.default_rng(0).integers(1000, 2000, (bands, height, width))
    with rasterio.open(
        path,
        "w",
        width=width,
        height=height,
        count=bands,
        crs="EPSG:32634",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
        **profile,
    ) as target:
        target.write(pixels.astype(np.uint16))
    return path


def draw(scene: Path, found: LabeledBoxes) -> Image.Image:
    draw_preview(str(scene), found, scene.with_suffix(".png"))
    with Image.open(scene.with_suffix(".png")) as picture:
        return picture.copy()


def find_pixels(picture: Image.Image, color: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((np.asarray(picture) == color).all(axis=2))


def test_a_box_is_drawn_around_its_detection(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=600, height=400, bands=3)
    found = LabeledBoxes(np.array([[100.0, 200, 120, 230]]), np.array(["ship"]))

    picture = draw(scene, found)

    scale = OVERVIEW_SIDE_PX / 600
    drawn = find_pixels(
        picture.crop((GAP_PX, GAP_PX, GAP_PX + OVERVIEW_SIDE_PX, GAP_PX + 800)), COLORS[0]
    )
    (top, left), (bottom, right) = drawn.min(axis=0), drawn.max(axis=0)
    expected = np.array([200, 100, 230, 120]) * scale + [-3, -3, 3, 3]
    assert [top, left, bottom, right] == pytest.approx(expected, abs=2)


def test_each_class_has_a_color_of_its_own(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=300, height=300, bands=5)
    boxes = np.array([[50.0, 50, 60, 60], [200, 200, 220, 220]])

    picture = draw(scene, LabeledBoxes(boxes, np.array(["buoy", "ship"])))

    assert len(find_pixels(picture, COLORS[0]))
    assert len(find_pixels(picture, COLORS[1]))


def test_false_positives_have_a_color_of_their_own(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=300, height=300, bands=5)
    boxes = np.array([[50.0, 50, 60, 60], [200, 200, 220, 220]])

    found = LabeledBoxes(boxes, np.array(["ship", "ship"])).mark_false_positives(
        np.array([False, True])
    )
    picture = draw(scene, found)

    assert found.counts() == {"ship": 1, "ship (false positive)": 1}
    right, wrong = (find_pixels(picture, color)[:, 0].min() for color in COLORS[:2])
    assert wrong < right


def test_more_detections_than_pixels_are_drawn_all_the_same(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=80, height=60, bands=1)
    corners = np.random.default_rng(1).uniform(0, 50, (20_000, 2))

    picture = draw(scene, LabeledBoxes(np.hstack([corners, corners + 4]), np.full(20_000, "tree")))

    assert len(find_pixels(picture, COLORS[0]))


@pytest.mark.parametrize(("width", "height", "bands"), [(5, 3000, 1), (3000, 7, 4), (1, 1, 3)])
def test_a_scene_of_any_shape_without_detections_gives_a_picture(
    tmp_path: Path, width: int, height: int, bands: int
):
    scene = write_scene(tmp_path / "scene.tif", width=width, height=height, bands=bands)

    assert max(draw(scene, NOTHING).size) >= OVERVIEW_SIDE_PX
