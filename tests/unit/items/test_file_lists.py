"""Lists of files, and the small JSON of names and URIs."""

import json
import math

import pytest

from swath.errors import SceneError
from swath.items import item_from_files, parse_item, select_assets

URI = "s3://scenes/incoming/scene.json"


def parse(data):
    return parse_item(json.dumps(data).encode(), URI)


def selected(scene, *names):
    return [one.href.rpartition("/")[2] for one in select_assets(scene, names)]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (["T31UDQ_20240531T104621_B02.jp2", "T31UDQ_20240531T104621_B8A.jp2"], ["B02", "B8A"]),
        (
            ["T31UDQ_20240531T104621_B02_10m.jp2", "T31UDQ_20240531T104621_B11_20m.jp2"],
            ["B02", "B11"],
        ),
        (["LC08_L1TP_016037_20170813_20170814_01_RT_B4.TIF", "LC08_L1TP_x_B5.TIF"], ["B4", "B5"]),
        (["LC08_L2SP_x_T1_SR_B4.TIF", "LC08_L2SP_x_T1_ST_B10.TIF"], ["SR_B4", "ST_B10"]),
        (["LC08_L2SP_x_T1_SR_B4.TIF", "LC08_L2SP_x_T1_ST_B10.TIF"], ["B4", "B10"]),
        (["B02.tif", "B03.tif"], ["B02", "B03"]),
        (["HLS.L30.T19LDD.2022165T144027.v2.0.B02.tif", "HLS.L30.x.B03.tif"], ["B02", "B03"]),
        (["red.tif", "NIR.tif"], ["red", "nir"]),
    ],
)
def test_names_of_files_name_the_bands(files, names):
    scene = item_from_files([f"/data/{name}" for name in files])
    assert selected(scene, *names) == files
    assert selected(scene, *reversed(names)) == files[::-1]


def test_a_name_is_a_whole_part_of_a_files_name():
    scene = item_from_files(["/data/LC08_B11.TIF", "/data/LC08_B10.TIF"])
    with pytest.raises(SceneError, match="no band B1; it has LC08_B11"):
        select_assets(scene, ["B1"])


def test_two_files_for_one_name_are_ambiguous():
    scene = item_from_files(["/data/a_B02_10m.jp2", "/data/a_B02_20m.jp2"])
    with pytest.raises(SceneError, match="2 bands for B02") as caught:
        select_assets(scene, ["B02"])
    assert "a_B02_10m.jp2" in str(caught.value)


def test_a_file_named_twice_is_refused():
    with pytest.raises(SceneError, match="twice"):
        item_from_files(["/data/a.tif", "/data/a.tif"])


def test_a_list_without_files_is_refused():
    with pytest.raises(SceneError, match="0 files"):
        item_from_files([])


def test_a_json_of_files():
    scene = parse({"files": ["B02.tif", "s3://scenes/incoming/x/B03.tif"]})
    assert selected(scene, "B03", "B02") == ["B03.tif", "B02.tif"]
    assert scene.scene_id == ""


def test_a_json_of_names():
    scene = parse(
        {
            "bands": {
                "red": "visual.tif",
                "green": {"uri": "visual.tif", "band": 2, "scale": 0.0001},
                "swir": {"uri": "s.tif", "offset": -0.1, "unit": "reflectance", "nodata": "nan"},
            },
            "properties": {"datetime": "2024-05-31T10:00:00Z", "platform": "drone"},
        }
    )
    red, green, swir = select_assets(scene, ["red", "green", "swir"])
    assert [(one.href, one.number) for one in (red, green)] == [
        ("s3://scenes/incoming/visual.tif", 1),
        ("s3://scenes/incoming/visual.tif", 2),
    ]
    assert (red.band.scale, green.band.scale, green.band.offset) == (None, 0.0001, 0.0)
    assert (swir.band.scale, swir.band.offset, swir.band.unit) == (1.0, -0.1, "reflectance")
    assert swir.band.nodata is not None
    assert math.isnan(swir.band.nodata)
    assert scene.acquisition.platform == "drone"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"files": []}, "has 0 files"),
        ({"bands": {}}, "has 0 files"),
        ({"files": ["a.tif"], "bands": {"a": "a.tif"}}, "either"),
        ({"files": ["a.tif"] * 2}, "twice"),
        ({"files": [f"{i}.tif" for i in range(1001)]}, "1,001 files"),
        ({"files": "a.tif"}, "Expected `array | null`"),
        ({"files": [1]}, "Expected `str`"),
        ({"files": ["a.tif"], "model": "x"}, "unknown field `model`"),
        ({"bands": {"red": {"uri": "a.tif", "band": 0}}}, "bands count from 1"),
        ({"bands": {"red": {"uri": "a.tif", "band": 10**9}}}, "bands count from 1"),
        ({"bands": {"red": {"uri": "a.tif", "nodata": "none"}}}, "nodata value 'none'"),
        ({"bands": {"red": {"band": 1}}}, "missing required field `uri`"),
        ({"bands": {"": "a.tif"}}, "give it a name"),
        ({"bands": {"red": "scene.json"}}, "no raster"),
        ({"files": ["red.json"]}, "no raster"),
        ({"bands": {"red": "../a.tif"}}, ". or .. as a part"),
        ({"bands": {"red": "https://evil.example/a.tif"}}, "outside the allowed sources"),
    ],
)
def test_a_hostile_list_gets_one_sentence(data, reason):
    with pytest.raises(SceneError) as caught:
        select_assets(parse(data), ["red", "green"])
    assert reason in str(caught.value)
    assert str(caught.value).isprintable()
