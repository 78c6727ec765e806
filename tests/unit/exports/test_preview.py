"""The picture of a scene with its detections."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from swath.exports import preview as module
from swath.exports.preview import (
    COLORS,
    GAP_PX,
    OVERVIEW_SIDE_PX,
    DrawnDetections,
    collect_best,
    draw_preview,
)
from swath.raster.scene import open_scene
from tests.unit.exports.test_selection import rows

NOTHING = DrawnDetections(np.empty((0, 4)), np.empty(0, dtype=np.str_), {})


def detections(boxes, names):
    labels = np.array(names, np.str_)
    return DrawnDetections(
        np.array(boxes, float), labels, {name: names.count(name) for name in names}
    )


def write_scene(path: Path, *, width, height, bands, dtype="uint16", **profile) -> Path:
    pixels = np.random.default_rng(0).integers(100, 120, (bands, height, width))
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=width,
        height=height,
        count=bands,
        dtype=dtype,
        crs="EPSG:32634",
        transform=rasterio.Affine(10, 0, 0, 0, -10, 0),
        **{"nodata": 0, **profile},
    ) as target:
        target.write(pixels.astype(dtype))
    return path


def draw(scene: Path, found: DrawnDetections) -> Image.Image:
    target = scene.with_suffix(".png")
    with open_scene(str(scene)) as opened:
        draw_preview(opened, found, str(target))
    with Image.open(target) as picture:
        return picture.copy()


def find_pixels(picture: Image.Image, color: tuple[int, int, int]) -> np.ndarray:
    return np.argwhere((np.asarray(picture) == color).all(axis=2))


def test_a_box_is_drawn_around_its_detection(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=600, height=400, bands=3)

    picture = draw(scene, detections([[100, 200, 120, 230]], ["ship"]))

    scale = OVERVIEW_SIDE_PX / 600
    drawn = find_pixels(
        picture.crop((GAP_PX, GAP_PX, GAP_PX + OVERVIEW_SIDE_PX, GAP_PX + 800)), COLORS[0]
    )
    (top, left), (bottom, right) = drawn.min(axis=0), drawn.max(axis=0)
    expected = np.array([200, 100, 230, 120]) * scale + [-3, -3, 3, 3]
    assert [top, left, bottom, right] == pytest.approx(expected, abs=2)


def test_each_class_has_a_color_of_its_own(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=300, height=300, bands=5)
    picture = draw(scene, detections([[50, 50, 60, 60], [200, 200, 220, 220]], ["ship", "buoy"]))
    buoy, ship = (find_pixels(picture, color)[:, 0].min() for color in COLORS[:2])
    assert ship < buoy


def test_more_detections_than_pixels_are_drawn_all_the_same(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=80, height=60, bands=1)
    corners = np.random.default_rng(1).uniform(0, 50, (20_000, 2))
    picture = draw(scene, detections(np.hstack([corners, corners + 4]), ["tree"] * 20_000))
    assert len(find_pixels(picture, COLORS[0]))


@pytest.mark.parametrize(("width", "height", "bands"), [(5, 3000, 1), (3000, 7, 4), (1, 1, 3)])
def test_a_scene_of_any_shape_without_detections_gives_a_picture(
    tmp_path: Path, width, height, bands
):
    scene = write_scene(tmp_path / "scene.tif", width=width, height=height, bands=bands)
    assert max(draw(scene, NOTHING).size) >= OVERVIEW_SIDE_PX


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64"])
def test_pixels_of_any_type_are_stretched_over_the_whole_brightness(tmp_path: Path, dtype):
    scene = write_scene(
        tmp_path / "scene.tif", width=300, height=200, bands=3, dtype=dtype, nodata=None
    )
    with rasterio.open(scene, "r+") as file:
        file.write(np.linspace(0, 120, 60_000).reshape(200, 300).astype(dtype), 1)
    shown = np.asarray(draw(scene, NOTHING))[GAP_PX + 4 : GAP_PX + 796, GAP_PX + 4 : 1200]
    assert shown[..., 0].min() < 20
    assert shown[..., 0].max() > 235


def test_pixels_without_a_value_are_gray(tmp_path: Path):
    scene = write_scene(tmp_path / "scene.tif", width=300, height=200, bands=3)
    with rasterio.open(scene, "r+") as file:
        file.write(np.zeros((3, 100, 300), np.uint16), window=((0, 100), (0, 300)))
    shown = np.asarray(draw(scene, NOTHING))
    assert (shown[GAP_PX + 50, GAP_PX + 50] == round(0.85 * 255)).all()


def test_the_best_detections_are_drawn_and_all_are_counted(monkeypatch):
    monkeypatch.setattr(module, "MAX_DRAWN_DETECTIONS", 30)
    tables = [rows(40, seed) for seed in range(3)]

    drawn = collect_best(iter(tables))

    everything = sorted(
        (row for table in tables for row in table.to_pylist()), key=lambda row: -row["score"]
    )
    assert drawn.boxes[:, 0].tolist() == [row["x_min"] for row in everything[:30]]
    assert [*drawn.labels] == [row["class"] for row in everything[:30]]
    assert sum(drawn.counts.values()) == 120


def test_no_detections_are_no_boxes():
    assert len(collect_best([]).boxes) == 0


def test_an_error_leaves_no_picture(tmp_path: Path, monkeypatch):
    scene = write_scene(tmp_path / "scene.tif", width=30, height=20, bands=3)
    monkeypatch.setattr(module, "_annotate", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        draw(scene, NOTHING)
    assert [path.name for path in tmp_path.iterdir()] == ["scene.tif"]
