"""Tests of detections as other programs' data types, and as a notebook shows them."""

import base64
import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.transform import Affine

import swath
from swath.raster import display
from tests.helpers.packages import write_package
from tests.helpers.rasters import sparse
from tests.helpers.segmenters import NODATA, values, write_segmenter
from tests.helpers.serving import bright, dots

MAX_HTML = 200_000


def picture(html):
    """Return the picture of an HTML page, (rows, cols, 3)."""
    content = re.search(r"data:image/jpeg;base64,([^\"]+)", html)[1]
    return np.asarray(Image.open(BytesIO(base64.b64decode(content))))


def test_rows_have_names_and_numbers(make_scene, package):
    pixels = dots(1)
    found = swath.detect(make_scene(pixels), package)

    expected = bright(pixels)
    assert len(found) == len(expected)
    assert sorted((x, y) for x, y, *_ in found.boxes.tolist()) == [(x, y) for x, y, _ in expected]
    assert found.classes == ("dot",)
    assert found.counts == {"dot": 12}
    assert found.model == "bright"
    assert [(one.score, one.box) for one in found] == [
        (float(score), tuple(box)) for score, box in zip(found.scores, found.boxes, strict=True)
    ]
    assert {one.class_name for one in found} == {"dot"}
    assert found[-1].box == tuple(found.boxes[-1])
    assert found[0].geometry.equals(found.geometries[0])
    assert "12 dot in" in repr(found)
    with pytest.raises(IndexError):
        found[12]


def test_a_geodataframe_has_the_columns_of_the_file(make_scene, package):
    found = swath.detect(make_scene(dots(1)), package)

    frame = found.to_geodataframe()

    columns = [name for name in found.to_arrow().column_names if name not in {"geometry", "bbox"}]
    assert [*frame.columns] == [*columns, "geometry"]
    assert frame.crs == "EPSG:4326"
    assert [*frame["class"]] == ["dot"] * 12
    assert frame.geometry.tolist() == found.geometries.tolist()
    west, south, east, north = frame.total_bounds
    assert 14.9 < west < east < 15.1
    assert 45 < south < north < 45.3


def test_geojson_is_a_dict_and_a_file(make_scene, package, tmp_path):
    found = swath.detect(make_scene(dots(1)), package)

    collection = found.to_geojson(tmp_path / "found.geojson")

    assert json.loads((tmp_path / "found.geojson").read_text()) == collection
    assert collection.keys() == {"type", "features"}
    assert collection["features"][0]["properties"].keys() == {
        *("class", "score", "x_min", "y_min", "x_max", "y_max", "acquired_at")
    }
    assert [np.float32(f["properties"]["score"]) for f in collection["features"]] == [*found.scores]


def test_no_detections_have_every_format(make_scene, package, tmp_path):
    found = swath.detect(make_scene(np.zeros((1, 40, 60), np.uint8)), package)

    found.to_parquet(tmp_path / "none.parquet")

    assert len(found) == len(found.to_geodataframe()) == len(found.to_arrow()) == 0
    assert found.to_geojson()["features"] == []
    assert "0 detections" in found._repr_html_()
    assert "nothing in" in repr(found)


def test_the_picture_shows_each_detection(make_scene, package):
    found = swath.detect(make_scene(dots(1, width=300, height=200)), package)

    html = found._repr_html_()

    assert 'alt="Picture of the scene with an outline around each of 12 detections' in html
    assert "<td>dot</td><td>12</td>" in html
    shown = picture(html).astype(int)
    assert shown.shape == (200, 300, 3)
    yellow = (shown[..., 0] > 170) & (shown[..., 1] > 150) & (shown[..., 2] < 150)
    for x, y in found.boxes[:, :2].astype(int):
        assert yellow[max(y - 5, 0) : y + 6, max(x - 5, 0) : x + 6].any()
    assert not yellow[~near(found.boxes, shown.shape[:2])].any()


def near(boxes, size):
    mask = np.zeros(size, bool)
    for x, y in boxes[:, :2].astype(int):
        mask[max(y - 12, 0) : y + 13, max(x - 12, 0) : x + 13] = True
    return mask


def test_a_segmentation_is_filled(make_scene, tmp_path):
    scene = make_scene(values()[None], nodata=NODATA)
    found = swath.detect(scene, write_segmenter(tmp_path / "model"))

    html = found._repr_html_()

    assert found.task == "segmentation"
    assert re.search(r"<td>water</td><td>\d+</td>", html)
    shown = picture(html).astype(float)
    plain = picture(swath.detect(scene, write_segmenter(tmp_path / "m", mask=False))._repr_html_())
    assert np.array_equal(shown, plain)
    # Inside the lake, away from any outline, gray pixels have a tint of the color of water.
    lake = shown[24:30, 40:55].mean(axis=(0, 1))
    assert lake[2] > lake[0] + 15


@pytest.mark.parametrize("change", ["gone", "replaced"])
def test_a_table_is_shown_when_the_scene_is_gone(make_scene, package, change):
    scene = make_scene(dots(1))
    found = swath.detect(scene, package)
    Path(scene).unlink()
    if change == "replaced":
        make_scene(dots(2, width=100))

    html = found._repr_html_()

    assert "<img" not in html
    assert "no picture: the scene cannot be read" in html
    assert "<td>dot</td><td>12</td>" in html


def test_an_array_has_its_picture_after_its_file_is_gone(package):
    assert picture(swath.detect(dots(1), package)._repr_html_()).shape == (40, 60, 3)


def test_a_page_is_small_whatever_is_in_it(make_scene, tmp_path):
    """Check a page of noise, which does not compress, with more detections than are drawn."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 20, (1, 700, 900)).astype(np.uint8)
    pixels[0, ::4, ::4] = 99
    found = swath.detect(make_scene(pixels), write_package(tmp_path / "model"))

    html = found._repr_html_()

    assert len(found) > 30_000
    assert "the picture shows the 2,000 detections with the highest scores" in html
    assert len(html) < MAX_HTML
    assert max(picture(html).shape) <= 640


def test_names_are_escaped(tmp_path, make_scene):
    def change(item):
        item["properties"]["mlm:output"][0]["classification:classes"] = [
            {"value": 0, "name": "<script>x</script>"}
        ]

    found = swath.detect(make_scene(dots(1)), write_package(tmp_path / "model", change))

    assert "<script>" not in found._repr_html_()
    assert "&lt;script&gt;" in found._repr_html_()


def test_a_large_scene_without_overviews_is_not_read_whole(tmp_path, make_scene, monkeypatch):
    side = 12_000
    path = sparse(tmp_path / "large.tif", side=side)
    with swath.open_scene(path) as scene:
        assert display.read_thumbnail(scene, ["gray"], side=64) is None
    with rasterio.open(path, "r+") as target:
        target.build_overviews([16])
    with swath.open_scene(path) as scene:
        assert display.read_thumbnail(scene, ["gray"], side=64).shape == (64, 64, 3)
    monkeypatch.setattr(display, "MAX_PIXELS_READ", 100)
    with swath.open_scene(make_scene(dots(1), name="small.tif")) as scene:
        assert display.read_thumbnail(scene, ["gray"], side=640) is None


def test_invalid_pixels_are_gray(make_scene):
    pixels = np.full((1, 200, 300), 5, np.int16)
    pixels[:, :, :150] = -1
    scene = make_scene(pixels, nodata=-1, transform=Affine(10, 0, 500_000, 0, -10, 5_000_000))

    with swath.open_scene(scene) as opened:
        shown = display.read_thumbnail(opened, ["gray"], side=100)

    assert shown.shape == (67, 100, 3)
    assert (shown[:, :49] == round(0.85 * 255)).all()
    assert (shown[:, 51:] != round(0.85 * 255)).all()
