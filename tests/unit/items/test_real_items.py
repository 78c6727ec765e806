"""Real Items of a dozen catalogs: each is read, or refused with its reason; `golden/items.json`."""

import socket
from urllib.parse import urlsplit

import msgspec
import pytest

from swath.errors import SceneError
from swath.items import SceneSources, read_item, select_assets, selection_warnings

MODELS = {
    "Sentinel-2": ["B02", "B03", "B04", "B08", "B11"],
    "Landsat 8": ["B2", "B3", "B4", "B5", "B6"],
    "colors": ["red", "green", "blue"],
    "near infrared": ["nir"],
    "narrow near infrared": ["nir08"],
    "radar": ["VV", "VH"],
}


def documents(data):
    folder = data.resolve() / "items"
    patterns = ("stac_items/*/*.json", "*/*_stac.json", "s2_l2a_29RKH/*.json")
    return sorted(path for pattern in patterns for path in folder.glob(pattern))


def all_sources(data):
    """Return sources that allow each host and bucket of the Items, and nothing local."""
    prefixes = set()
    for document in documents(data):
        for asset in msgspec.json.decode(document.read_bytes())["assets"].values():
            hrefs = [asset["href"], *(one["href"] for one in asset.get("alternate", {}).values())]
            parts = [urlsplit(href) for href in hrefs]
            prefixes |= {f"{one.scheme}://{one.netloc}/" for one in parts if one.netloc}
    return SceneSources.parse(sorted(prefixes))


def outcome(scene, names):
    """Return assets and bands, their units, and warnings; or the opening of a refusal."""
    try:
        bands = select_assets(scene, names)
    except SceneError as error:
        return str(error).removeprefix(scene.uri).split("; ")[0].strip(" :")
    units = {
        ", ".join(
            f"{field} {value}"
            for field in ("scale", "offset", "unit", "nodata")
            if (value := getattr(one.band, field)) not in {None, ""}
        )
        for one in bands
    }
    warnings = [one.removeprefix(scene.uri).strip(" :") for one in selection_warnings(scene, bands)]
    assets = " ".join(f"{one.key}:{one.number}" for one in bands)
    return " | ".join([assets, *sorted(units - {""}), *warnings])


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args, **kwargs):
        pytest.fail("an Item made swath ask the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.usefixtures("no_network")
def test_each_real_item_is_a_scene_or_refused_with_its_reason(data, golden):
    sources = all_sources(data)
    table = {}
    for document in documents(data):
        name = str(document.relative_to(data.resolve() / "items"))
        try:
            scene = read_item(str(document), sources)
        except SceneError as error:
            table[name] = str(error).removeprefix(str(document))
            continue
        table[name] = {
            "scene": scene.scene_id,
            "acquisition": msgspec.to_builtins(scene.acquisition),
            **{model: outcome(scene, names) for model, names in MODELS.items()},
        }
    assert len(table) >= 45
    golden("items", table)


@pytest.mark.usefixtures("no_network")
def test_without_sources_no_asset_of_a_real_item_may_be_read(data):
    for document in documents(data):
        scene = read_item(str(document))
        folder = f"{document.parent}/"
        assert all(one.refusal or one.href.startswith(folder) for one in scene.assets)
