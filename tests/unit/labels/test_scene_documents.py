"""Tests of labeled scenes of several files, which a STAC Item or a small JSON names."""

import json
import shutil

import numpy as np
import pytest
import rasterio
import shapely

from swath.errors import LabelsError, SceneError
from swath.labels.files import hash_files, list_scenes, read_headers
from swath.labels.read import read_collection
from tests.helpers.band_files import texture
from tests.helpers.items import write_item
from tests.helpers.label_files import coco, geojson, write_json
from tests.helpers.rasters import NORTH_UP

BANDS = ("B02", "B11")
WIDTH, HEIGHT = 96, 64
BOX = (10, 20, 8, 6)


@pytest.fixture
def stacked(make_scene):
    """A scene of one file, in tiles that no pixel of a coarser band crosses."""
    pixels = np.stack([texture(WIDTH, HEIGHT, seed=seed) for seed in (1, 2)])
    return make_scene(pixels, names=BANDS)


@pytest.fixture
def folder(tmp_path, stacked):
    """A folder with an Item, whose band B11 is half as fine, and its files."""
    write_item(tmp_path / "scenes", stacked)
    return tmp_path / "scenes"


def write_coco(path, name="item.json", width=WIDTH):
    return write_json(path, coco(images=[(name, width, HEIGHT)], annotations=[(1, 1, BOX)]))


def test_an_item_of_a_folder_is_a_scene_and_its_files_are_none(folder, stacked):
    shutil.copy(stacked, folder / "other.tif")
    write_coco(folder / "labels.json")
    (folder / "broken.json").write_text("{")
    write_json(folder / "map.json", geojson([]))

    assert list_scenes(str(folder)) == [str(folder / name) for name in ("item.json", "other.tif")]
    assert list_scenes(str(folder / "item.json")) == [str(folder / "item.json")]


def test_an_invalid_item_of_a_folder_is_refused_by_name(folder):
    write_json(folder / "x.json", {"type": "Feature", "stac_version": "1.0.0", "assets": 3})

    with pytest.raises(SceneError, match=r"x\.json is not a valid document of a scene"):
        list_scenes(str(folder))


def test_labels_beside_an_item_are_located(folder):
    write_coco(folder / "labels.json")

    (scene,) = read_collection(None, str(folder), bands=BANDS).scenes

    assert (scene.name, scene.width, scene.height) == ("item.json", WIDTH, HEIGHT)
    assert scene.boxes.tolist() == [[10, 20, 18, 26]]


def test_a_list_of_files_is_a_scene(folder):
    named = {"bands": {"B02": "B02.tif", "B11": "B11.tif"}}
    write_json(folder / "list.json", named)
    labels = write_coco(folder / "labels.json", "list.json")

    (scene,) = read_collection(labels, str(folder), bands=BANDS).scenes

    assert (scene.width, scene.height) == (WIDTH, HEIGHT)


def test_labels_are_in_pixels_of_the_finest_band_of_the_model(folder):
    (fine,) = read_headers([str(folder / "item.json")], BANDS)
    (coarse,) = read_headers([str(folder / "item.json")], ["B11"])

    assert (fine.width, fine.height) == (WIDTH, HEIGHT)
    assert (coarse.width, coarse.height) == (WIDTH // 2, HEIGHT // 2)
    assert fine.uri == str(folder / "item.json")


@pytest.mark.parametrize("one_file_per_scene", [True, False])
def test_geojson_is_placed_by_the_georeference_of_the_item(folder, tmp_path, one_file_per_scene):
    square = shapely.box(10, 20, 18, 26)
    on_map = shapely.transform(square, lambda xy: np.stack(NORTH_UP @ xy.T, 1))
    labels = tmp_path / "labels"
    labels.mkdir()
    file = write_json(labels / "item.geojson", geojson([on_map], crs="EPSG:32633"))

    found = read_collection(str(labels) if one_file_per_scene else file, str(folder), bands=BANDS)

    assert found.scenes[0].boxes.ravel().tolist() == pytest.approx([10, 20, 18, 26])


def test_labels_of_another_size_are_refused(folder):
    labels = write_coco(folder / "labels.json", width=WIDTH + 1)

    with pytest.raises(LabelsError, match=r"is 97 x 64 px, but .*item\.json is 96 x 64 px"):
        read_collection(labels, str(folder), bands=BANDS)


def test_an_item_needs_the_bands_of_the_model(folder):
    labels = write_coco(folder / "labels.json")

    with pytest.raises(LabelsError, match=r"item\.json is a scene of several files, whose size"):
        read_collection(labels, str(folder))


def test_the_digest_of_an_item_is_that_of_its_bytes(folder, tmp_path):
    item = str(folder / "item.json")
    copied = shutil.copytree(folder, tmp_path / "copy")
    changed = shutil.copytree(folder, tmp_path / "changed")
    with rasterio.open(changed / "B11.tif", "r+", IGNORE_COG_LAYOUT_BREAK=True) as file:
        file.write(np.ones((1, HEIGHT // 2, WIDTH // 2), file.dtypes[0]))

    first, second, third = hash_files(
        [item, str(copied / "item.json"), str(changed / "item.json")], BANDS
    )
    (other,) = hash_files([item], BANDS[::-1])

    assert first == second
    assert len({first, third, other}) == 3


@pytest.mark.parametrize(
    "content", [[], {"type": "Feature"}, {"images": []}, {"stac_version": "1"}]
)
def test_a_document_with_other_members_is_no_scene(folder, content):
    (folder / "a.json").write_text(json.dumps(content))

    assert list_scenes(str(folder)) == [str(folder / "item.json")]
