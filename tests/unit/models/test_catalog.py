import json

import pytest

from swath.errors import SettingsError
from swath.messages import ModelRef
from swath.models.catalog import choose_model, load_catalog

SHIPS = ModelRef(name="ships", uri="s3://b/ships.tar.gz", digest="1")
TREES = ModelRef(name="trees", uri="s3://b/trees.tar.gz", digest="2")
CATALOG = {"ships": SHIPS, "trees": TREES}


def choose(key):
    return choose_model(key, CATALOG, prefix="incoming/", default="ships")


def test_the_folder_below_the_prefix_names_the_model():
    assert choose("incoming/trees/x.tif") == TREES
    assert choose("incoming/trees/2026/11/x.tif") == TREES


def test_a_scene_right_below_the_prefix_is_for_the_default_model():
    assert choose("incoming/x.tif") == SHIPS


def test_a_model_that_is_not_deployed_is_named_without_an_address():
    chosen = choose("incoming/tree/x.tif")
    assert chosen == ModelRef(name="tree", uri="", digest="", deployed=["ships", "trees"])
    assert chosen.to_json()["deployed"] == ["ships", "trees"]
    assert "deployed" not in SHIPS.to_json()


def test_of_many_models_the_first_are_named():
    many = {f"model-{number:03}": SHIPS for number in range(500)}

    chosen = choose_model("incoming/tree/x.tif", many, prefix="incoming/", default="ships")

    assert chosen.deployed == sorted(many)[:20]


def test_a_default_that_is_not_deployed_is_named_without_an_address():
    chosen = choose_model("incoming/x.tif", {}, prefix="incoming/", default="ships")
    assert chosen == ModelRef(name="ships", uri="", digest="")


@pytest.mark.parametrize("uri", ["s3://b/models/ships.tar.gz", "/models/ships"])
def test_an_address_in_the_catalog_is_kept(tmp_path, uri):
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"ships": {"uri": uri, "digest": "1"}}))
    assert load_catalog(str(path)) == {"ships": ModelRef(name="ships", uri=uri, digest="1")}


def test_a_bare_key_lies_beside_the_catalog(tmp_path):
    path = tmp_path / "catalog.json"
    path.write_text(json.dumps({"ships": {"uri": "ships.tar.gz", "digest": "1"}}))
    assert load_catalog(str(path))["ships"].uri == str(tmp_path / "ships.tar.gz")


@pytest.mark.parametrize("text", ["", "[]", '{"ships": {"uri": "x"}}', '{"ships": "x"}'])
def test_what_is_no_catalog_is_refused_by_name(tmp_path, text):
    path = tmp_path / "catalog.json"
    path.write_text(text)
    with pytest.raises(SettingsError, match=r"catalog\.json is not a model catalog"):
        load_catalog(str(path))


def test_a_missing_catalog_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"the model catalog .*nowhere\.json does not exist"):
        load_catalog(str(tmp_path / "nowhere.json"))
