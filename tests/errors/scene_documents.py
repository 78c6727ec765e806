"""Faults of scenes of several files: STAC Items, lists of files and deliveries."""

import json
from pathlib import Path

from tests.errors.fault import Fault, run

_SECTION = "Scenes of several files"
_BANDS = [{"name": "gray"}]


def item(assets, **members):
    """Return a STAC Item with assets by key."""
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": "scene-1",
        "collection": "scenes",
        "geometry": None,
        "properties": {"datetime": "2026-11-20T10:30:00Z"},
        "links": [],
        "assets": assets,
        **members,
    }


def gray_asset(href):
    """Return assets of which one has the band that the model takes."""
    return {"gray": {"href": href, "roles": ["data"], "bands": _BANDS}}


_HREFS = {
    "a file of the system": "file:///etc/scene.tif",
    "an address without encryption": "http://example.com/scene.tif",
    "an address of a machine's metadata": "https://169.254.169.254/scene.tif",
    "a folder above": "../scene.tif",
    "one of GDAL's own names": "/vsicurl/https://example.com/scene.tif",
    "a source that is not allowed": "https://example.com/scene.tif",
    "an absent file": "absent.tif",
    "no raster": "text.tif",
    "two bands, of which it describes a third": "two-bands.tif",
    "the empty address": "",
}
_DOCUMENTS = {
    "is empty": b"",
    "is no JSON": b"{",
    "is a list": b"[]",
    "is a Collection": json.dumps({"type": "Collection", "stac_version": "1.1.0"}).encode(),
    "is a FeatureCollection": json.dumps({"type": "FeatureCollection", "features": []}).encode(),
    "is an Item without assets": json.dumps(item({})).encode(),
    "is an Item without an id": json.dumps(item(gray_asset("scene.tif"), id="")).encode(),
    "is an Item without the model's band": json.dumps(
        item({"nir": {"href": "scene.tif", "roles": ["data"], "bands": [{"name": "nir"}]}})
    ).encode(),
    "is an Item with two files of one band": json.dumps(
        item({name: gray_asset("scene.tif")["gray"] for name in ("one", "two")})
    ).encode(),
    "is an Item with 10,000 assets": json.dumps(
        item({f"gray{number}": gray_asset("scene.tif")["gray"] for number in range(10_000)})
    ).encode(),
    "is a list of no files": json.dumps({"files": []}).encode(),
    "is a list with an absent file": json.dumps({"bands": {"gray": "absent.tif"}}).encode(),
    "has a key that is unknown": json.dumps({"bandz": {"gray": "scene.tif"}}).encode(),
}
_MANIFESTS = {
    "is no XML": b"<",
    "declares entities": b'<!DOCTYPE x [<!ENTITY a "a">]><x>&a;</x>',
    "lists nothing": b"<x/>",
}


def write_documents(folder: Path) -> None:
    """Write the documents beside the scenes that they name."""
    for number, href in enumerate(_HREFS.values()):
        assets = gray_asset(href)
        if href == "two-bands.tif":
            assets["gray"]["bands"] = [{"name": "b"}, {"name": "g"}, *_BANDS]
        (folder / f"href-{number}.json").write_text(json.dumps(item(assets)))
    for number, content in enumerate(_DOCUMENTS.values()):
        (folder / f"document-{number}.json").write_bytes(content)
    for number, content in enumerate(_MANIFESTS.values()):
        (folder / f"{number}.SAFE").mkdir()
        (folder / f"{number}.SAFE" / "manifest.safe").write_bytes(content)


def faults():
    """Yield the faults of documents, of lists, of deliveries, and of the commands about them."""
    for number, wrong in enumerate(_HREFS):
        yield Fault(_SECTION, f"the Item names {wrong}", run(f"href-{number}.json"))
    for number, wrong in enumerate(_DOCUMENTS):
        yield Fault(_SECTION, f"the document {wrong}", run(f"document-{number}.json"))
    for number, wrong in enumerate(_MANIFESTS):
        yield Fault(_SECTION, f"the manifest {wrong}", run(f"{number}.SAFE"))
    yield Fault(_SECTION, "the document is absent", run("absent.json"))
    yield Fault(
        _SECTION, "a source is no prefix", run("scene.tif", "packages/good", "--source", "ftp://a/")
    )
    yield Fault(
        _SECTION,
        "a document is one of several files",
        ("run", "scene.tif", "document-3.json", "--model", "packages/good", "--out", "out"),
    )
    plan = ("plan", "href-0.json", "--model", "packages/good")
    yield Fault(_SECTION, "a plan of an Item that names a file of the system", plan)
    yield Fault(
        _SECTION, "a plan without a scene", ("plan", "absent.tif", "--model", "packages/good")
    )
    yield Fault(_SECTION, "a drop of an absent file", ("drop", "absent.tif"))
