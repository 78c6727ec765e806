"""Items that are older than STAC 1.0."""

import json
import sys

import pytest

from swath.errors import SceneError
from swath.items import item_from_dict, parse_item, select_assets
from swath.items.versions import is_old

OLD = {
    "type": "Feature",
    "stac_version": "0.7.0",
    "stac_extensions": ["eo"],
    "id": "x",
    "geometry": None,
    "bbox": [0, 0, 1, 1],
    "links": [],
    "properties": {
        "datetime": "2013-04-19",
        "eo:platform": "LANDSAT_8",
        "eo:sun_azimuth": 133.7,
        "eo:bands": [{"name": "SR_B3", "common_name": "green"}, {"name": "SR_B4"}],
    },
    "assets": {"b": {"href": "b.tif", "type": "image/vnd.stac.geotiff", "eo:bands": [1]}},
}


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "1.0.0-beta.2", "1.0.0-rc.1", "1.2.0"])
def test_current_versions_are_read_as_they_are(version):
    assert not is_old(version)


@pytest.mark.parametrize("version", ["0.7.0", "0.9.0", "2.0.0", "1.0", "", None, 1])
def test_other_versions_are_not(version):
    assert is_old(version)


def test_an_old_item_is_upgraded_by_pystac():
    scene = parse_item(json.dumps(OLD).encode(), "/data/item.json")
    assert (scene.acquisition.platform, scene.acquisition.sun_azimuth) == ("LANDSAT_8", 133.7)
    assert scene.acquisition.acquired_at == "2013-04-19T00:00:00Z"
    assert [(one.href, one.number) for one in select_assets(scene, ["B4"])] == [("/data/b.tif", 1)]
    assert OLD["stac_version"] == "0.7.0"


def test_without_pystac_an_old_item_is_refused_with_the_remedy(monkeypatch):
    monkeypatch.setitem(sys.modules, "pystac", None)
    with pytest.raises(SceneError, match="install pystac to read it"):
        item_from_dict(OLD, "/data/item.json")
