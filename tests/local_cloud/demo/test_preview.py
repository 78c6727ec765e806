"""The picture of a scene with its detections."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from local_cloud.demo.preview import COLOURS, GAP, SCENE_SIDE, Found, draw_preview

NOTHING = Found(np.empty((0, 4)), np.empty(0, dtype=np.str_))


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


def draw(scene: Path, found: Found) -> Image.Image:
    draw_preview(str(scene), found, scene.with_suffix(".png"))
    with Image.open(scene.with_suffix(".png")) as picture:
        return picture.copy()


def pixels_of(picture: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((np.asarray(picture) == colour).all(axis=2))


def test_a_box_is_drawn_around_its_detection(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=600, height=400, bands=3)
    found = Found(np.array([[100.0, 200, 120, 230]]), np.array(["ship"]))

    picture = draw(scene, found)

    scale = SCENE_SIDE / 600
    drawn = pixels_of(picture.crop((GAP, GAP, GAP + SCENE_SIDE, GAP + 800)), COLOURS[0])
    (top, left), (bottom, right) = drawn.min(axis=0), drawn.max(axis=0)
    expected = np.array([200, 100, 230, 120]) * scale + [-3, -3, 3, 3]
    assert [top, left, bottom, right] == pytest.approx(expected, abs=2)


def test_each_class_has_a_colour_of_its_own(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=300, height=300, bands=5)
    boxes = np.array([[50.0, 50, 60, 60], [200, 200, 220, 220]])

    picture = draw(scene, Found(boxes, np.array(["buoy", "ship"])))

    assert len(pixels_of(picture, COLOURS[0]))
    assert len(pixels_of(picture, COLOURS[1]))


def test_wrong_boxes_have_a_colour_of_their_own(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=300, height=300, bands=5)
    boxes = np.array([[50.0, 50, 60, 60], [200, 200, 220, 220]])

    found = Found(boxes, np.array(["ship", "ship"])).judged(np.array([False, True]))
    picture = draw(scene, found)

    assert found.counts() == {"ship": 1, "ship, but none is there": 1}
    right, wrong = (pixels_of(picture, colour)[:, 0].min() for colour in COLOURS[:2])
    assert wrong < right


def test_more_detections_than_pixels_are_drawn_all_the_same(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=80, height=60, bands=1)
    corners = np.random.default_rng(1).uniform(0, 50, (20_000, 2))

    picture = draw(scene, Found(np.hstack([corners, corners + 4]), np.full(20_000, "tree")))

    assert len(pixels_of(picture, COLOURS[0]))


@pytest.mark.parametrize(("width", "height", "bands"), [(5, 3000, 1), (3000, 7, 4), (1, 1, 3)])
def test_a_scene_of_any_shape_without_detections_gives_a_picture(
    tmp_path: Path, width: int, height: int, bands: int
):
    scene = write_scene(tmp_path / "scene.tif", width=width, height=height, bands=bands)

    assert max(draw(scene, NOTHING).size) >= SCENE_SIDE
