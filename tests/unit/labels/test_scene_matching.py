import pytest

from swath.errors import LabelsError
from swath.labels.scene_matching import match_label_files, tile_id


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SN6_AOI_11_Rotterdam_PAN_20190822070610_tile_3721", "20190822070610_tile_3721"),
        ("RGB-PanSharpen_AOI_2_Vegas_img1", "img1"),
        ("Pan-Sharpen_Atlanta_nadir7_catid_1030010003D22F00_732701_3724339", "732701_3724339"),
        ("algiers_S2L2A_5band", ""),
    ],
)
def test_a_tile_is_what_numbers_a_chip(name, expected):
    assert tile_id(name) == expected


@pytest.mark.parametrize(
    ("label", "scene"),
    [
        ("a/long_beach_4.json", "b/long_beach_4.tif"),
        ("a/Buildings_tile_41.geojson", "b/SAR_tile_41.tif"),
        ("a/algiers_ships.geojson", "b/algiers_S2.tif"),
        ("a/oam_a_rgb_buildings.geojson", "b/oam_a_rgb.tif"),
    ],
)
def test_a_file_is_of_the_scene_that_its_name_says(label, scene):
    others = ["b/long_beach_41.tif", "b/other_S2.tif", "b/SAR_tile_4.tif", "b/oam_b_rgb.tif"]

    assert match_label_files([label], [*others, scene]) == {scene: label}


@pytest.mark.parametrize(
    ("labels", "scenes", "message"),
    [
        (["x.json"], ["a.tif", "b.tif"], r"x\.json has a name that matches no scene"),
        (["a_x.json"], ["a_b.tif", "a_c.tif"], r"a_x\.json has a name that matches 2 scenes, such"),
        (["t_4.json"], ["t_5.tif"], "matches no scene"),
        (["a.json", "a_x.json"], ["a.tif"], r"a\.json and a_x\.json are both labels of a\.tif"),
    ],
)
def test_what_cannot_be_told_is_refused(labels, scenes, message):
    with pytest.raises(LabelsError, match=message):
        match_label_files(labels, scenes)
