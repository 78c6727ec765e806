"""Bands of STAC assets, in the terms of 1.0 and 1.1."""

import math

import msgspec
import pytest

from swath.errors import SceneError
from swath.items.scene_item import ItemBand
from swath.items.stac_bands import read_bands
from swath.items.stac_types import StacAsset, StacBand

OFFSET_APPLIED = "earthsearch:boa_offset_applied"


def bands(asset, definitions=(), **properties):
    asset = msgspec.convert({"href": "a.tif", **asset}, StacAsset)
    return read_bands(asset, msgspec.convert(list(definitions), list[StacBand]), properties)


def test_bands_of_stac_1_0():
    asset = {
        "gsd": 20,
        "eo:bands": [{"name": "B02", "common_name": "blue"}, {"name": "B03"}],
        "raster:bands": [
            {"scale": 0.0001, "offset": -0.1, "nodata": 0, "spatial_resolution": 10},
            {"unit": "kelvin", "nodata": "nan"},
        ],
    }
    first, second = bands(asset)
    assert first == ItemBand(
        name="B02", common_name="blue", scale=0.0001, offset=-0.1, nodata=0.0, gsd=10.0
    )
    assert (second.scale, second.offset, second.unit, second.gsd) == (None, None, "kelvin", 20.0)
    assert math.isnan(second.nodata)


def test_bands_of_stac_1_1():
    asset = {
        "nodata": 0,
        "raster:scale": 0.5,
        "bands": [
            {"name": "a", "eo:common_name": "red", "raster:offset": 1},
            {"name": "b", "raster:scale": 2, "nodata": "-inf", "gsd": 5, "unit": "dB"},
        ],
    }
    assert bands(asset) == (
        ItemBand(name="a", common_name="red", scale=0.5, offset=1.0, nodata=0.0),
        ItemBand(name="b", scale=2.0, offset=0.0, nodata=-math.inf, gsd=5.0, unit="dB"),
    )


def test_an_asset_may_describe_its_only_band_itself():
    asset = {"eo:common_name": "coastal", "nodata": 0, "raster:spatial_resolution": 60}
    assert bands(asset) == (ItemBand(common_name="coastal", nodata=0.0, gsd=60.0),)
    assert bands({}) == ()


def test_bands_may_refer_to_definitions():
    definitions = [{"name": "SR_B1"}, {"name": "SR_B2", "common_name": "blue"}]
    assert bands({"eo:bands": [1]}, definitions) == (ItemBand(name="SR_B2", common_name="blue"),)
    for index in (2, -1):
        with pytest.raises(SceneError, match=f"refers to band {index} of 2"):
            bands({"eo:bands": [index]}, definitions)


def test_an_offset_that_the_item_contradicts_is_not_applied():
    asset = {"type": "image/tiff", "raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
    (band,) = bands(asset, **{OFFSET_APPLIED: True})
    assert (band.scale, band.offset) == (0.0001, 0.0)
    assert "states the offset -0.1 and, by earthsearch:boa_offset_applied" in band.doubt


@pytest.mark.parametrize("applied", [False, "true", None])
def test_an_offset_that_nothing_contradicts_is_kept(applied):
    asset = {"type": "image/tiff", "raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
    (band,) = bands(asset, **{OFFSET_APPLIED: applied})
    assert (band.offset, band.doubt) == (-0.1, "")


def test_the_original_files_keep_their_offset():
    asset = {"type": "image/jp2", "raster:bands": [{"scale": 0.0001, "offset": -0.1}]}
    (band,) = bands(asset, **{OFFSET_APPLIED: True})
    assert (band.offset, band.doubt) == (-0.1, "")


@pytest.mark.parametrize(
    ("properties", "doubtful"),
    [
        ({"s2:processing_baseline": "05.11"}, True),
        ({"sentinel2:processing_baseline": "04.00"}, True),
        ({"s2:processing_baseline": "03.01"}, False),
        ({"s2:processing_baseline": "new"}, False),
        ({"s2:processing_baseline": ["05.11"]}, False),
        ({"s2:processing_baseline": "05.11", OFFSET_APPLIED: True}, False),
        ({}, False),
    ],
)
def test_an_offset_that_the_item_does_not_state_is_doubted(properties, doubtful):
    asset = {"eo:bands": [{"name": "B02", "common_name": "blue"}]}
    (band,) = bands(asset, **properties)
    assert bool(band.doubt) is doubtful
    (mask,) = bands({"eo:bands": [{"name": "SCL"}]}, **properties)
    assert mask.doubt == ""


@pytest.mark.parametrize("gsd", [0, -10])
def test_an_impossible_resolution_is_not_stated(gsd):
    assert bands({"gsd": gsd, "eo:common_name": "red"})[0].gsd is None
