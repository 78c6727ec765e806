"""Turn a STAC Item into a scene."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from swath.errors import SceneError
from swath.items.acquisitions import read_acquisition
from swath.items.addresses import SCHEME, check_characters, shown
from swath.items.band_names import RASTER_NAME, find_sensor
from swath.items.scene_item import ItemAsset, SceneItem
from swath.items.sources import SceneSources
from swath.items.stac_bands import MAX_BANDS, MAX_NAME_CHARACTERS, first_length, read_bands
from swath.items.stac_types import StacAsset, StacBand, StacItem
from swath.storage import DEFAULT_ACCESS, BucketAccess

MAX_ASSETS = 1000
MAX_ITEM_BANDS = 10_000
"""Maximum number of bands that all assets of an Item describe (hyperspectral: hundreds)."""
MAX_ALTERNATES = 20
"""Number of alternate addresses of an asset that are considered."""
_UNSPECIFIC_TYPES = {"", "application/octet-stream", "binary/octet-stream"}
_RASTER_TYPES = ("image/tiff", "image/vnd.stac.geotiff", "image/jp2", "image/x.geotiff")
_NITF_TYPE = re.compile(r"(application|image)/(x-|vnd\.)?nitf")
_NEVER_SCENES = {"metadata", "overview", "thumbnail", "tiles"}
"""Roles of assets that are no scene, whatever their format."""


def scene_from_stac(item: StacItem, uri: str, sources: SceneSources, etag: str) -> SceneItem:
    """Return the scene that a STAC Item describes.

    Args:
        item: Parsed Item.
        uri: Address of its document; empty if it has none.
        sources: Allowed sources of its assets.
        etag: ETag of its document.

    Raises:
        SceneError: The Item has no raster asset, too many assets, or an invalid id.
    """
    name = shown(uri) or f"the Item {shown(item.id)}"
    if len(item.assets) > MAX_ASSETS:
        raise SceneError(
            f"{name} has {len(item.assets):,} assets; the maximum is {MAX_ASSETS:,}: remove those "
            "that the model does not need"
        )
    count = sum(
        max(len(one.bands or ()), len(one.eo_bands or ()), len(one.raster_bands or ()))
        for one in item.assets.values()
    )
    if count > MAX_ITEM_BANDS:
        raise SceneError(
            f"{name} describes {count:,} bands; the maximum is {MAX_ITEM_BANDS:,}: remove the "
            "assets that the model does not need"
        )
    definitions = _read_definitions(item)
    rasters = {key: one for key, one in item.assets.items() if _is_raster(one)}
    assets = tuple(
        _read_asset(key, one, definitions, item.properties, uri, sources)
        for key, one in rasters.items()
    )
    if not assets:
        keys = ", ".join(shown(key) for key in list(item.assets)[:20]) or "none"
        raise SceneError(
            f"{name} has no asset that is a GeoTIFF, JPEG 2000 or NITF file; its assets: {keys}"
        )
    acquisition, warnings = read_acquisition(item.properties)
    if acquisition.gsd is None:
        stated = [band.gsd for asset in assets for band in asset.bands if band.gsd]
        acquisition = msgspec.structs.replace(acquisition, gsd=min(stated, default=None))
    return SceneItem(
        uri=uri,
        etag=etag,
        item_id=_check_id(item.id, "id", name),
        collection=_check_id(item.collection, "collection", name) if item.collection else "",
        acquisition=acquisition,
        assets=assets,
        left_out=tuple(key for key in item.assets if key not in rasters),
        sensor=find_sensor(item.properties),
        warnings=tuple(f"{name}: {warning}" for warning in warnings),
    )


def allowed_address(
    hrefs: Iterable[str], base: str, sources: SceneSources
) -> tuple[str, BucketAccess, str]:
    """Return the first address of a file that may be read, and how, or why there is none.

    Args:
        hrefs: Addresses of one file, absolute or relative to the document.
        base: Address of the document; empty if it has none.
        sources: Allowed sources.

    Returns:
        The normalized address, the access to it and an empty text; or an empty address, no special
        access and the reason of the refusal.
    """
    refusal = ""
    for href in hrefs:
        try:
            return *sources.resolve(_absolute(href, base)), ""
        except SceneError as error:
            refusal = refusal or str(error)
    return "", DEFAULT_ACCESS, refusal


def _absolute(href: str, base: str) -> str:
    """Resolve an address against its document; a relative one may only go down.

    Raises:
        SceneError: The address is ambiguous, leaves the folder, or is that of the document.
    """
    if href.startswith("/") or SCHEME.match(href):
        address = href
    else:
        relative = href.removeprefix("./")
        check_characters(relative)
        if not base:
            raise SceneError(
                f"{shown(href)} is relative, and the Item has no address of its own; set its self "
                "link, or make the address absolute"
            )
        address = f"{base.rpartition('/')[0]}/{relative}"
    if address == base:
        raise SceneError(f"{shown(href)} is the document itself; give the address of a raster")
    return address


def _is_raster(asset: StacAsset) -> bool:
    if _NEVER_SCENES & {role.casefold() for role in asset.roles or ()}:
        return False
    media_type = (asset.type or "").strip().lower()
    if media_type in _UNSPECIFIC_TYPES:
        return bool(RASTER_NAME.search(asset.href))
    return media_type.startswith(_RASTER_TYPES) or bool(_NITF_TYPE.match(media_type))


def _read_asset(
    key: str,
    asset: StacAsset,
    definitions: list[StacBand],
    properties: dict[str, Any],
    uri: str,
    sources: SceneSources,
) -> ItemAsset:
    alternates = [one.href for one in asset.alternate.values()]
    hrefs = [asset.href, *alternates[:MAX_ALTERNATES]]
    try:
        address, access, refusal = allowed_address(hrefs, uri, sources)
        bands = read_bands(asset, definitions, properties)
    except SceneError as error:
        address, access, refusal, bands = "", DEFAULT_ACCESS, str(error), ()
    return ItemAsset(
        key=shown(key),
        href=address,
        access=access,
        media_type=(asset.type or "").strip().lower(),
        roles=tuple(role.casefold() for role in asset.roles or ()),
        gsd=first_length(asset.gsd, asset.spatial_resolution),
        bands=bands,
        refusal=refusal,
    )


def _read_definitions(item: StacItem) -> list[StacBand]:
    """Return the bands that the Item's properties define; an empty list if they are malformed."""
    try:
        return msgspec.convert(item.properties.get("eo:bands") or [], list[StacBand])[:MAX_BANDS]
    except msgspec.ValidationError:
        return []


def _check_id(text: str, member: str, name: str) -> str:
    if not text.strip() or len(text) > MAX_NAME_CHARACTERS or not text.isprintable():
        raise SceneError(
            f"{name} has the {member} {shown(text)!r}; it must be printable and have from 1 to "
            f"{MAX_NAME_CHARACTERS} characters"
        )
    return text
