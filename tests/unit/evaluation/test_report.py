import base64
import io
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from matplotlib.image import imread

from swath.evaluation import thumbnails
from swath.evaluation.evaluate import REPORT_FILE, evaluate
from swath.evaluation.thumbnails import display_bands, draw_window, stretch
from swath.raster.scene import open_scene
from tests.helpers.labeled import around, collection_of, dots

PLACES = [(5, 5), (40, 40), (80, 20)]


@pytest.fixture
def page(package, make_scene, tmp_path):
    labels = np.concatenate([around(PLACES[:2]), around([(60, 10)])])
    evaluate(package, collection_of([(make_scene(dots(PLACES)), labels)]), tmp_path / "out")
    return (tmp_path / "out" / REPORT_FILE).read_text()


def test_the_page_needs_nothing_beside_it(page):
    plain = page.replace("http://www.w3.org/", "")

    assert "<script" not in plain
    assert "url(http" not in plain
    assert 'src="' not in plain
    links = [part.split('"')[0] for part in plain.split('href="')[1:]]
    assert all(link.startswith(("data:image/png;base64,", "#")) for link in links)


def test_the_page_has_the_metrics(page):
    assert "<h1>bright</h1>" in page
    assert "detection on 1 labeled\nscene with 3\nobjects" in page
    assert page.count("<svg") >= 4
    assert "scene.tif" in page


def test_the_worst_tiles_show_truth_and_predictions(page):
    chips = page.split('<div class="chips">')[1]

    assert chips.count("<figure") == 2
    assert "1 false alarm, 0 missed" in chips
    assert "0 false alarms, 1 missed" in chips
    assert chips.count('class="missed"') == chips.count('class="false"') == 1


def test_the_plots_are_whole_documents(page):
    plot = page.split("<figure>")[1].split("</svg>")[0] + "</svg>"

    assert ET.fromstring(plot).tag.endswith("svg")  # noqa: S314 (swath wrote it)


def test_the_same_metrics_give_the_same_page(package, make_scene, tmp_path):
    collection = collection_of([(make_scene(dots(PLACES)), around(PLACES))])
    pages = []
    for name in "ab":
        evaluate(package, collection, tmp_path / name)
        page = (tmp_path / name / REPORT_FILE).read_text()
        seconds = page.split("<h2>Scenes</h2>")[1].split("</tbody>")[0]
        pages.append(page.replace(seconds, ""))

    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("names", "bands", "shown"),
    [
        (("B02", "B03", "B04", "B08"), ["B02", "B08"], [3, 2, 1]),
        (("nir", "red", "green", "blue"), ["nir"], [2, 3, 4]),
        (("VV", "VH"), ["VH"], [2]),
        (("a", "b", "c", "d"), ["d", "c", "b", "a"], [4, 3, 2]),
    ],
)
def test_bands_to_display(make_scene, names, bands, shown):
    scene = make_scene(
        np.ones((len(names), 8, 8), np.uint16), names=names, photometric="minisblack"
    )

    with open_scene(scene) as opened:
        assert display_bands(opened.info, bands) == shown


def test_colors_without_band_names(make_scene):
    scene = make_scene(np.ones((3, 8, 8), np.uint8), photometric="rgb")

    with open_scene(scene) as opened:
        assert display_bands(opened.info, ["x", "y", "z"]) == [1, 2, 3]


def test_a_stretch_goes_from_dark_to_bright_in_each_band():
    ramp = np.arange(100, dtype=np.uint16).reshape(10, 10)
    image = stretch(np.stack([ramp, ramp * 100, 5000 - ramp]), np.ones((10, 10), bool))

    assert image.shape == (10, 10, 3)
    assert image[..., 0].min() == image[..., 1].min() == 0
    assert image[..., 0].max() == image[..., 1].max() == 1
    np.testing.assert_allclose(image[..., 0], image[..., 1])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.float32, np.complex64])
def test_any_pixels_can_be_stretched(dtype):
    pixels = np.ones((1, 4, 4), dtype)
    valid = np.eye(4, dtype=bool)

    image = stretch(pixels, valid)

    assert np.isfinite(image).all()
    np.testing.assert_array_equal(image[~valid], np.full((12, 3), 0.85))
    assert stretch(pixels, np.zeros((4, 4), bool)).min() == 0.85


def test_a_few_bright_dots_on_nothing_are_seen():
    pixels = np.zeros((1, 64, 64), np.int16)
    pixels[0, 5, 5] = 81

    image = stretch(pixels, np.ones((64, 64), bool))

    assert image[5, 5].min() == 1
    assert image.sum() == 3


def test_large_windows_are_drawn_smaller(make_scene, monkeypatch):
    monkeypatch.setattr(thumbnails, "_MAX_SIDE_PX", 8)
    scene = make_scene(np.arange(600, dtype=np.uint16).reshape(1, 20, 30))

    with open_scene(scene) as opened:
        picture = draw_window(opened, (0, 0, 30, 20), ["gray"])

    png = base64.b64decode(picture.removeprefix("data:image/png;base64,"))
    assert imread(io.BytesIO(png)).shape[:2] == (5, 8)
