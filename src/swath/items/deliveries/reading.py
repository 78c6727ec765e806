"""Read the scenes of a delivery: a folder of files, with a manifest or without.

The documents of scenes are `manifest.safe` of a SAFE folder, `*_MTL` of a Landsat bundle, and the
`*_metadata.json` of each Item of a Planet order. In any other folder the document is the marker
(`NAME.done` beside the folder, or `*.done` or `_SUCCESS` in it) or the folder itself: the scene is
the STAC Item in the folder or, without one, the list of its raster files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from swath import storage
from swath.errors import InputError, SceneError
from swath.items.addresses import shown
from swath.items.deliveries import planet
from swath.items.deliveries.kinds import (
    DeliveryKind,
    choose_manifest,
    is_marker,
    is_raster,
    manifest_kind,
)
from swath.items.deliveries.landsat import describe_landsat, parse_landsat_manifest
from swath.items.deliveries.manifests import MAX_PARTS, Manifest
from swath.items.deliveries.safe_manifest import parse_safe_manifest
from swath.items.deliveries.sentinel1 import describe_sentinel1, is_sentinel1
from swath.items.deliveries.sentinel2 import describe_sentinel2, is_sentinel2
from swath.items.file_lists import scene_from_files
from swath.items.scene_item import SceneItem
from swath.items.sources import SceneSources

MAX_MANIFEST_BYTES = 8 << 20
"""Maximum size of a manifest; one of 10,000 parts has about 4 MiB."""
MAX_ITEM_CANDIDATES = 20
"""Maximum number of JSON files of a folder that are searched for a STAC Item."""
_MAX_ORDER_DEPTH = 2
"""Maximum number of folders between an Item's metadata and the manifest of its order."""

ParseItem = Callable[..., SceneItem]
"""Function that parses a STAC Item, as `swath.items.documents.parse_item` does."""


def is_delivery(uri: str) -> bool:
    """Return whether an address is that of a delivery, by its name.

    The metadata of Planet's Items and `manifest.json` are known by their content only, as other
    JSON documents of scenes are.
    """
    kind = manifest_kind(uri)
    is_manifest = kind in {DeliveryKind.SAFE, DeliveryKind.LANDSAT} or is_marker(uri)
    return is_manifest or uri.endswith("/") or (not storage.is_s3(uri) and _is_folder(uri))


def _is_folder(path: str) -> bool:
    """Return whether a local path is a folder; False for a path that no file can have."""
    try:
        return Path(path).is_dir()
    except OSError:
        return False


def read_delivery(uri: str, sources: SceneSources, parse_item: ParseItem) -> SceneItem | None:
    """Return the scene of a delivery; None if the address is not that of one.

    Args:
        uri: Address of a folder, a manifest, a marker, or the metadata of a Planet Item.
        sources: Allowed sources of files outside of the delivery.
        parse_item: Function that parses a STAC Item in the folder.

    Raises:
        SceneError: The delivery has no scene, or several, or files that cannot be read.
    """
    if uri.lower().startswith("https:"):
        return None
    if uri.endswith(planet.METADATA_SUFFIX):
        return _read_order_item(uri, sources)
    if manifest_kind(uri) is DeliveryKind.PLANET:
        return _read_order(uri, sources)
    if not is_delivery(uri):
        return None
    if manifest_kind(uri):
        content, etag = _read(uri)
        return _describe(content, uri, sources.with_folder(uri), etag)
    return _read_folder(uri, sources, parse_item)


def read_manifest(uri: str) -> tuple[Manifest, list[str]] | None:
    """Return the files of a delivery and the addresses of the documents of its scenes.

    Args:
        uri: Address of a manifest.

    Returns:
        The files and the documents; None if a `manifest.json` is not that of a Planet order.

    Raises:
        SceneError: The manifest is missing, not valid, or lists files outside of its folder.
    """
    content, _ = _read(uri)
    kind = manifest_kind(uri)
    if kind is DeliveryKind.SAFE:
        return parse_safe_manifest(content, uri), [uri]
    if kind is DeliveryKind.LANDSAT:
        return parse_landsat_manifest(content, uri), [uri]
    order = planet.parse_planet_order(content, uri)
    if order is None:
        return None
    manifest, files = order
    folder = uri.rpartition("/")[0]
    ids = planet.item_ids(files)
    paths = [planet.metadata_path(files, item_id) for item_id in ids]
    if len(ids) == 1 and not paths[0]:
        return manifest, [uri]
    if not ids or not all(paths):
        raise SceneError(
            f"{shown(uri)} lists {len(ids)} Items with images, and metadata of "
            f"{len([path for path in paths if path])}; order each Item with its metadata"
        )
    return manifest, [storage.join(folder, path) for path in paths]


def delivery_folder(uri: str) -> str:
    """Return the folder of a delivery, without a slash at its end.

    Args:
        uri: Address of the folder, of a manifest in it, or of a marker in it or beside it. A marker
            `NAME.done` beside the folder NAME belongs to that folder.
    """
    if not is_marker(uri):
        return uri.rstrip("/")
    parent, _, name = uri.rpartition("/")
    beside = name[: -len(".done")]
    if name.lower().endswith(".done") and beside and _has_files(storage.join(parent, beside)):
        return storage.join(parent, beside)
    return parent


def _has_files(folder: str) -> bool:
    return next(storage.iterate_objects(folder), None) is not None


def _describe(content: bytes, uri: str, sources: SceneSources, etag: str) -> SceneItem:
    if manifest_kind(uri) is DeliveryKind.LANDSAT:
        return describe_landsat(content, uri, sources, etag=etag)
    manifest = parse_safe_manifest(content, uri)
    if is_sentinel2(manifest):
        return describe_sentinel2(manifest, sources, etag=etag)
    if is_sentinel1(manifest):
        return describe_sentinel1(manifest, sources, content, etag=etag)
    raise SceneError(
        f"{shown(uri)} is neither a Sentinel-1 nor a Sentinel-2 product; drop a file NAME.done "
        "beside the folder, and its raster files become the scene"
    )


def _read_order(uri: str, sources: SceneSources) -> SceneItem | None:
    """Return the scene of an order of one Item; None if the file is no manifest of an order."""
    listed = read_manifest(uri)
    if listed is None:
        return None
    documents = listed[1]
    if len(documents) > 1:
        names = ", ".join(shown(document) for document in documents[:_MAX_SHOWN])
        raise SceneError(
            f"{shown(uri)} has {len(documents)} scenes; give the metadata of one of them: {names}"
        )
    if documents[0] != uri:
        return _read_order_item(documents[0], sources)
    content, etag = _read(uri)
    manifest, files = _parse_order(content, uri)
    (item_id,) = planet.item_ids(files)
    allowed = sources.with_folder(uri)
    return planet.describe_planet(manifest, files, item_id, b"", allowed, uri=uri, etag=etag)


def _read_order_item(uri: str, sources: SceneSources) -> SceneItem | None:
    """Return the scene of a Planet Item by its metadata; None if the file is none of Planet's."""
    content, etag = _read(uri)
    if not planet.is_item_metadata(content):
        return None
    folder, _, name = uri.rpartition("/")
    for _ in range(_MAX_ORDER_DEPTH + 1):
        manifest_uri = storage.join(folder, planet.MANIFEST_NAME)
        if storage.exists(manifest_uri):
            manifest, files = _parse_order(_read(manifest_uri)[0], manifest_uri)
            path = uri.removeprefix(f"{folder}/")
            ids = [
                one for one in planet.item_ids(files) if planet.metadata_path(files, one) == path
            ]
            if ids:
                allowed = sources.with_folder(manifest_uri)
                return planet.describe_planet(
                    manifest, files, ids[0], content, allowed, uri=uri, etag=etag
                )
        folder = folder.rpartition("/")[0]
    raise SceneError(
        f"{shown(uri)} has no manifest.json of its order that lists {shown(name)}; deliver the "
        "whole order"
    )


def _parse_order(content: bytes, uri: str) -> tuple[Manifest, list[planet.OrderFile]]:
    order = planet.parse_planet_order(content, uri)
    if order is None:
        raise SceneError(f"{shown(uri)} is not the manifest of a Planet order; deliver it again")
    return order


def _read_folder(uri: str, sources: SceneSources, parse_item: ParseItem) -> SceneItem:
    """Return the scene of a folder or a marker, by its manifest, its Item or its raster files."""
    folder = delivery_folder(uri)
    listing = _list(folder)
    if not listing:
        raise SceneError(f"{shown(uri)} has no files; check the address")
    if manifest := choose_manifest(listing):
        scene = read_delivery(storage.join(folder, manifest), sources, parse_item)
        if scene is not None:
            return scene
    if item := find_item(folder, list(listing)):
        content, etag = _read(item)
        return parse_item(content, item, sources, etag=etag)
    rasters = [storage.join(folder, path) for path in listing if is_raster(path)]
    if not rasters:
        raise SceneError(
            f"{shown(uri)} has no raster file; swath reads GeoTIFF, JPEG 2000 and NITF"
        )
    scene = scene_from_files(rasters, sources.with_folder(f"{folder}/"))
    if not is_marker(uri):
        return scene
    status = storage.status(uri)
    return msgspec.structs.replace(scene, uri=uri, etag=status.etag if status else "")


def find_item(folder: str, paths: Sequence[str]) -> str:
    """Return the address of the STAC Item directly in a folder; empty if there is none.

    Args:
        folder: Address of the folder.
        paths: Paths of its files.

    Raises:
        SceneError: There are several Items, or too many JSON files.
    """
    candidates = [
        path for path in paths if "/" not in path and path.lower().endswith((".json", ".geojson"))
    ]
    if len(candidates) > MAX_ITEM_CANDIDATES:
        raise SceneError(
            f"{shown(folder)} has {len(candidates)} JSON files; at most {MAX_ITEM_CANDIDATES} are "
            "searched for the STAC Item: move the others into a subfolder"
        )
    items = [path for path in candidates if _is_item(storage.join(folder, path))]
    if len(items) > 1:
        raise SceneError(
            f"{shown(folder)} has several STAC Items: {', '.join(map(shown, items))}; a delivery "
            "has one: put each into a folder of its own"
        )
    return storage.join(folder, items[0]) if items else ""


def _is_item(uri: str) -> bool:
    try:
        data: Any = json.loads(_read(uri)[0])
    except (ValueError, RecursionError, SceneError):
        return False
    return isinstance(data, dict) and data.get("type") == "Feature" and "stac_version" in data


def _list(folder: str) -> dict[str, storage.ListedObject]:
    try:
        return storage.list_objects(folder, MAX_PARTS)
    except InputError as error:
        raise SceneError(str(error)) from None


def _read(uri: str) -> tuple[bytes, str]:
    """Return the content of a document of a delivery and its ETag."""
    status = storage.status(uri)
    if status is None:
        raise SceneError(f"{shown(uri)} does not exist; check the address")
    if status.size > MAX_MANIFEST_BYTES:
        raise SceneError(
            f"{shown(uri)} has {status.size / 2**20:.1f} MiB; a manifest has at most "
            f"{MAX_MANIFEST_BYTES >> 20} MiB"
        )
    return storage.read_with_etag(uri)


_MAX_SHOWN = 20
"""Maximum number of documents that a message lists."""
