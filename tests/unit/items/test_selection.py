"""Selecting the assets that hold a model's bands."""

import hypothesis
import hypothesis.strategies as st
import pytest

from swath.errors import SceneError
from swath.items import SceneSources, item_from_dict, select_assets, selection_warnings
from tests.helpers.fuzzing import draws

SOURCES = SceneSources.parse(["https://example.com/", "s3://scenes/"])


def item(assets, **properties):
    data = {
        "type": "Feature",
        "stac_version": "1.0.0",
        "id": "x",
        "collection": "c",
        "properties": {"datetime": "2024-05-31T10:00:00Z", **properties},
        "assets": assets,
    }
    return item_from_dict(data, sources=SOURCES)


def asset(name, *bands, kind="COG", **members):
    types = {
        "COG": "image/tiff; application=geotiff; profile=cloud-optimized",
        "GeoTIFF": "image/tiff; application=geotiff",
        "JP2": "image/jp2",
    }
    named = [{"name": band, "common_name": color} for band, color in bands]
    return {
        "href": f"https://example.com/{name}",
        "type": types[kind],
        "roles": ["data"],
        **({"eo:bands": named} if named else {}),
        **members,
    }


def selected(scene, *names):
    return [(one.key, one.number) for one in select_assets(scene, names)]


def refusal(scene, *names):
    with pytest.raises(SceneError) as caught:
        select_assets(scene, names)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_bands_come_in_the_models_order():
    scene = item(
        {
            "a": asset("a.tif", ("B02", "blue"), ("B03", "green")),
            "b": asset("b.tif", ("B04", "red")),
        }
    )
    assert selected(scene, "B04", "B02", "B03") == [("b", 1), ("a", 1), ("a", 2)]


def test_common_names_and_keys_answer():
    scene = item({"swir": asset("a.tif", ("B11", "swir16")), "vv": asset("vv.tif")})
    assert selected(scene, "swir16", "VV") == [("swir", 1), ("vv", 1)]


def test_a_file_of_which_nothing_states_the_bands_has_to_have_one():
    scene = item({"a": asset("a.tif", ("B04", "red")), "vv": asset("vv.tif")})
    bands = select_assets(scene, ["red", "vv"])
    assert [one.expects_one_band for one in bands] == [False, True]


def test_names_come_before_common_names_and_keys():
    scene = item(
        {
            "red": asset("c.tif"),
            "x": asset("a.tif", ("b1", "red")),
            "y": asset("b.tif", ("red", "")),
        }
    )
    assert selected(scene, "red") == [("y", 1)]


@pytest.mark.parametrize("name", ["B4", "SR_B4", "OLI_B4", "B04"])
def test_spellings_of_a_number_are_one_band_where_it_is_the_same_color(name):
    scene = item({"a": asset("a.tif", (name, "red"))})
    assert selected(scene, "B4") == selected(scene, "B04") == [("a", 1)]


def test_a_number_of_another_sensor_is_no_match():
    landsat = item({"pan": asset("a.tif", ("B8", "pan"))}, platform="landsat-8")
    assert "has no band B08; it has pan: B8 (pan)" in refusal(landsat, "B08")


def test_landsats_numbers_are_not_sentinels():
    scene = item({"a": asset("a.tif", ("B05", "rededge"))}, constellation="sentinel-2")
    assert "no band B5" in refusal(scene, "B5")
    scene = item({"a": asset("a.tif", ("B05", "nir"))}, platform="landsat-9")
    assert selected(scene, "B5") == [("a", 1)]


def test_a_sensor_that_the_item_states_translates_numbers():
    scene = item({"a": asset("a.tif", ("swir16", "swir16"))}, constellation="sentinel-2")
    assert selected(scene, "B11") == [("a", 1)]
    assert "no band B11" in refusal(item({"a": asset("a.tif", ("swir16", "swir16"))}), "B11")


def test_a_number_with_an_unusual_color_is_warned_about():
    scene = item({"nir08": asset("a.tif", ("ETM_B4", "nir08"))}, platform="landsat-7")
    warnings = selection_warnings(scene, select_assets(scene, ["B4"]))
    assert len(warnings) == 1
    assert "B4 is nir08, where the number usually means red; if" in warnings[0]


@pytest.mark.parametrize(
    ("wanted", "color", "warned"),
    [
        ("B05", "nir", True),
        ("B05", "rededge", False),
        ("B5", "nir08", False),
        ("B8", "nir", False),
        ("B8A", "rededge", False),
        ("B11", "lwir12", False),
        ("B1", "green", True),
        ("red", "red", False),
    ],
)
def test_only_contradictions_are_warned_about(wanted, color, warned):
    scene = item({"a": asset("a.tif", (wanted, color))})
    assert bool(selection_warnings(scene, select_assets(scene, [wanted]))) is warned


def test_data_come_before_renderings():
    scene = item(
        {
            "visual": asset("v.tif", ("B04", "red"), ("B03", "green")),
            "red": asset("r.jp2", ("B04", "red"), kind="JP2"),
        }
    )
    assert selected(scene, "B04") == [("red", 1)]


def test_formats_come_in_the_documented_order():
    kinds = ["JP2", "GeoTIFF", "COG"]
    assets = {kind: asset(kind, ("B04", "red"), kind=kind) for kind in kinds}
    while assets:
        assert selected(item(assets), "B04") == [(kinds[-1], 1)]
        del assets[kinds.pop()]


def test_the_finest_resolution_is_chosen():
    assets = {f"B02_{gsd}m": asset(f"{gsd}.jp2", ("B02", "blue"), gsd=gsd) for gsd in (60, 10, 20)}
    assert selected(item(assets), "B02") == [("B02_10m", 1)]


def test_equal_assets_are_ambiguous():
    scene = item({"a": asset("a.tif", ("B05", "rededge")), "b": asset("b.tif", ("B06", "rededge"))})
    text = refusal(scene, "rededge")
    assert "2 bands for rededge: band 1 of a (B05 (rededge)), band 1 of b (B06 (rededge))" in text
    assert '{"bands": {"rededge": "URI"}}' in text


def test_two_names_for_one_band_are_refused():
    scene = item({"a": asset("a.tif", ("B04", "red"))})
    assert "one band, a, for both B04 and red" in refusal(scene, "B04", "red")


def test_an_asset_that_may_be_read_comes_first():
    away = asset("a.tif", ("B04", "red")) | {"href": "https://elsewhere.example/a.tif"}
    near = asset("a.jp2", ("B04", "red"), kind="JP2")
    assert selected(item({"away": away, "near": near}), "B04") == [("near", 1)]
    assert "outside the allowed sources" in refusal(item({"away": away}), "B04")


def test_an_alternate_address_is_used_if_only_it_is_allowed():
    away = asset("a.tif", ("B04", "red")) | {
        "href": "https://elsewhere.example/a.tif",
        "alternate": {"s3": {"href": "s3://scenes/a.tif"}},
    }
    assert select_assets(item({"a": away}), ["B04"])[0].href == "s3://scenes/a.tif"


def test_overviews_are_no_bands():
    scene = item(
        {
            "a": asset("a.tif", ("B04", "red")),
            "overview": asset("o.tif", ("B03", "green"), roles=["overview"]),
        }
    )
    assert scene.left_out == ("overview",)
    assert "no band B03" in refusal(scene, "B03")


ASSETS = st.dictionaries(
    st.sampled_from(["B04", "red", "red-jp2", "visual", "B04_20m", "nir", "a"]),
    st.builds(
        lambda bands, kind, members: asset("x.tif", *bands, kind=kind, **members),
        st.lists(
            st.sampled_from([("B04", "red"), ("OLI_B4", "red"), ("red", ""), ("B08", "nir")]),
            max_size=2,
        ),
        st.sampled_from(["COG", "GeoTIFF", "JP2"]),
        st.fixed_dictionaries(
            {}, optional={"gsd": st.sampled_from([10, 20]), "roles": st.just(["visual"])}
        ),
    ),
    min_size=1,
)


@pytest.mark.fuzz
@hypothesis.settings(max_examples=draws(200, fuzz=5000))
@hypothesis.given(ASSETS, st.randoms(), st.sampled_from(["B04", "red", "B4", "nir"]))
def test_the_order_of_assets_does_not_matter(assets, random, name):
    keys = list(assets)
    random.shuffle(keys)
    results = []
    for one in (assets, {key: assets[key] for key in keys}):
        try:
            results.append(selected(item(one), name))
        except SceneError as error:
            results.append(sorted(str(error)))
    assert results[0] == results[1]
