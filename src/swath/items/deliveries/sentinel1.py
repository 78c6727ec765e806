"""Describe the scene in a Sentinel-1 product (ground range detected) in the format SAFE.

https://sentiwiki.copernicus.eu/web/s1-products
"""

from __future__ import annotations

import re

from swath.errors import SceneError
from swath.items.addresses import shown
from swath.items.deliveries.assets import make_asset
from swath.items.deliveries.manifests import Manifest
from swath.items.deliveries.numbers import parse_middle
from swath.items.deliveries.xml_elements import XmlElement, read_elements
from swath.items.scene_item import ItemBand, SceneItem
from swath.items.sources import SceneSources
from swath.messages.acquisition import Acquisition

_MEASUREMENT = re.compile(
    r"measurement/[^/]*-(?P<polarization>vv|vh|hh|hv)-[^/]*\.tiff?", re.IGNORECASE
)
_NAMES = {"startTime", "stopTime", "familyName", "number", "productType"}


def is_sentinel1(manifest: Manifest) -> bool:
    """Return whether a SAFE folder is a Sentinel-1 product with measurements."""
    return any(_MEASUREMENT.fullmatch(part.path) for part in manifest.parts)


def describe_sentinel1(
    manifest: Manifest, sources: SceneSources, content: bytes, *, etag: str
) -> SceneItem:
    """Return the scene of a Sentinel-1 GRD product: one band for each polarization.

    The numbers are digital numbers, since the calibration of the product varies within the image.

    Args:
        manifest: List of files of the product.
        sources: Allowed sources, with the folder of the product.
        content: Content of the manifest, which states the acquisition.
        etag: ETag of the manifest.

    Raises:
        SceneError: The product is not GRD, or has several images of one polarization.
    """
    elements = read_elements(content, manifest.uri, _NAMES.__contains__)
    kind = _text(elements, "productType")
    if kind and kind.upper() != "GRD":
        raise SceneError(
            f"{shown(manifest.uri)} is a Sentinel-1 product of the type {shown(kind)}; swath reads "
            "GRD: request or derive that"
        )
    folder = manifest.uri.rpartition("/")[0]
    matches = [m for part in manifest.parts if (m := _MEASUREMENT.fullmatch(part.path))]
    images = {match["polarization"].lower(): match[0] for match in matches}
    if len(images) < len(matches):
        raise SceneError(
            f"{shown(manifest.uri)} lists several images of one polarization; a scene has one: "
            "give a product with one swath"
        )
    return SceneItem(
        uri=manifest.uri,
        etag=etag,
        item_id=shown(re.sub(r"\.SAFE$", "", folder.rpartition("/")[2], flags=re.IGNORECASE)),
        collection="sentinel-1-grd",
        acquisition=Acquisition(
            acquired_at=parse_middle(_text(elements, "startTime"), _text(elements, "stopTime")),
            platform=_platform(elements),
        ),
        assets=tuple(
            make_asset(
                folder, path, sources, key=polarization, bands=(ItemBand(name=polarization),)
            )
            for polarization, path in images.items()
        ),
        left_out=tuple(p.path for p in manifest.parts if p.path not in images.values()),
    )


def _platform(elements: list[XmlElement]) -> str | None:
    """Return the name of the satellite: its family and its letter, `sentinel-1a`."""
    within = [one for one in elements if one.parents[-1:] == ("platform",)]
    name = _text(within, "familyName") + _text(within, "number")
    return shown(name.lower()) or None


def _text(elements: list[XmlElement], name: str) -> str:
    return next((one.text for one in elements if one.name == name), "")
