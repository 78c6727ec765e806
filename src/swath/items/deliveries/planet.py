"""Describe the scenes in a Planet order: `manifest.json`, and the metadata of each Item.

https://docs.planet.com/develop/apis/orders/delivery/
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from swath.errors import SceneError
from swath.items.addresses import shown
from swath.items.deliveries.assets import make_asset
from swath.items.deliveries.manifests import Manifest, Part, collect_parts
from swath.items.deliveries.numbers import parse_number, parse_time
from swath.items.scene_item import ItemBand, SceneItem
from swath.items.sources import SceneSources
from swath.messages.acquisition import Acquisition

MANIFEST_NAME = "manifest.json"
METADATA_SUFFIX = "_metadata.json"
_IMAGE_SUFFIXES = (".tif", ".tiff")
_MASK = re.compile(r"udm2?(_|$)")
_COLORS = ("red", "green", "blue")
_BAND_NAMES = {
    "3b": _COLORS,
    "4b": ("blue", "green", "red", "nir"),
    "8b": ("coastal_blue", "blue", "green_i", "green", "yellow", "red", "rededge", "nir"),
    "visual": _COLORS,
}
"""Names of the bands by the kind of a PSScene asset, in the order of the file.

https://docs.planet.com/data/imagery/planetscope/
"""
_COMMON_NAMES = {"coastal_blue": "coastal", "rededge": "rededge071", "green_i": ""}
"""Common names (STAC's extension EO) of the bands whose own name is none."""
_UDM2_NAMES = (
    *("clear", "snow", "shadow", "light_haze", "heavy_haze", "cloud", "confidence"),
    "unusable",
)


class OrderFile(msgspec.Struct, frozen=True):
    """File of an order."""

    path: str
    size: int | None = None
    media_type: str = ""
    digests: dict[str, str] = {}
    annotations: dict[str, str] = {}

    @property
    def item_id(self) -> str:
        """Id of the Item that the file belongs to; empty for files of the whole order."""
        return self.annotations.get("planet/item_id", "")

    @property
    def is_image(self) -> bool:
        """Whether the file is a raster file."""
        return self.media_type.startswith("image/tif") or self.path.lower().endswith(
            _IMAGE_SUFFIXES
        )


class _Order(msgspec.Struct, frozen=True):
    files: list[OrderFile]


class _ItemMetadata(msgspec.Struct, frozen=True):
    id: str
    properties: dict[str, object]


_ORDERS = msgspec.json.Decoder(_Order)
_METADATA = msgspec.json.Decoder(_ItemMetadata)


def parse_planet_order(content: bytes, uri: str) -> tuple[Manifest, list[OrderFile]] | None:
    """Return the files of an order; None if a `manifest.json` is not that of an order.

    Args:
        content: Content of `manifest.json`.
        uri: Address of the file.

    Raises:
        SceneError: The manifest lists files outside of its folder, or too many.
    """
    try:
        files = _ORDERS.decode(content).files
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    if not any(file.item_id for file in files):
        return None
    parts = (Part(file.path, file.size, file.digests.get("md5", "").lower()) for file in files)
    return Manifest(uri, collect_parts(uri, parts)), files


def item_ids(files: list[OrderFile]) -> list[str]:
    """Return the ids of the Items of an order that have an image, in the order of the manifest."""
    return list(dict.fromkeys(one.item_id for one in files if one.item_id and one.is_image))


def metadata_path(files: list[OrderFile], item_id: str) -> str:
    """Return the path of an Item's metadata; empty if the order has none."""
    paths = [one.path for one in files if one.item_id == item_id]
    return next((p.removeprefix("./") for p in paths if p.endswith(METADATA_SUFFIX)), "")


def is_item_metadata(content: bytes) -> bool:
    """Return whether a file is the metadata of a Planet Item: a Feature with an `item_type`."""
    try:
        return "item_type" in _METADATA.decode(content).properties
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False


def describe_planet(
    manifest: Manifest,
    files: list[OrderFile],
    item_id: str,
    metadata: bytes,
    sources: SceneSources,
    *,
    uri: str,
    etag: str,
) -> SceneItem:
    """Return the scene of one Item of an order. Neither manifest nor metadata state units.

    Args:
        manifest: List of files of the order.
        files: The same files, with Planet's annotations.
        item_id: Id of the Item.
        metadata: Content of the Item's metadata; empty if the order has none.
        sources: Allowed sources, with the folder of the order.
        uri: Address of the document of the scene: the Item's metadata, or the manifest.
        etag: ETag of that document.

    Raises:
        SceneError: The metadata cannot be read, or the order has no image of the Item.
    """
    folder = manifest.uri.rpartition("/")[0]
    images = [one for one in files if one.item_id == item_id and one.is_image]
    if not images:
        raise SceneError(f"{shown(manifest.uri)} lists no image of the Item {shown(item_id)}")
    properties = _read_properties(metadata, uri) if metadata else {}
    return SceneItem(
        uri=uri,
        etag=etag,
        item_id=shown(item_id),
        collection=shown(images[0].annotations.get("planet/item_type", "")),
        acquisition=_acquisition(properties),
        assets=tuple(
            make_asset(
                folder,
                one.path.removeprefix("./"),
                sources,
                key=shown(one.annotations.get("planet/asset_type", "") or one.path),
                role="data-mask" if _is_mask(one) else "data",
                gsd=parse_number(_text(properties, "pixel_resolution")),
                bands=tuple(
                    ItemBand(name=name, common_name=_common_name(one, name)) for name in _names(one)
                ),
            )
            for one in images
        ),
    )


def _names(file: OrderFile) -> tuple[str, ...]:
    """Return the names of a file's bands; empty if the kind of its asset is not known."""
    kind = file.annotations.get("planet/asset_type", "").lower()
    if _is_mask(file):
        return _UDM2_NAMES if "udm2" in kind else ()
    return next((names for part, names in _BAND_NAMES.items() if part in kind.split("_")), ())


def _common_name(file: OrderFile, name: str) -> str:
    return "" if _is_mask(file) else _COMMON_NAMES.get(name, name)


def _is_mask(file: OrderFile) -> bool:
    return bool(_MASK.search(file.annotations.get("planet/asset_type", "").lower()))


def _read_properties(metadata: bytes, uri: str) -> Mapping[str, object]:
    try:
        return _METADATA.decode(metadata).properties
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SceneError(
            f"{shown(uri)} is not the metadata of a Planet Item: {shown(str(error))}; deliver the "
            "file again"
        ) from None


def _acquisition(properties: Mapping[str, object]) -> Acquisition:
    cover = parse_number(_text(properties, "cloud_percent"))
    if cover is None and (fraction := parse_number(_text(properties, "cloud_cover"))) is not None:
        cover = fraction * 100
    view = parse_number(_text(properties, "view_angle"))
    return Acquisition(
        acquired_at=parse_time(_text(properties, "acquired")),
        platform=shown(_text(properties, "satellite_id")) or None,
        gsd=parse_number(_text(properties, "gsd")),
        cloud_cover=cover,
        sun_azimuth=parse_number(_text(properties, "sun_azimuth")),
        sun_elevation=parse_number(_text(properties, "sun_elevation")),
        # Planet signs the angle by the side to which the satellite looks.
        view_off_nadir=abs(view) if view is not None else None,
        view_azimuth=parse_number(_text(properties, "satellite_azimuth")),
    )


def _text(properties: Mapping[str, object], name: str) -> str:
    value = properties.get(name)
    return str(value) if isinstance(value, str | int | float) else ""
