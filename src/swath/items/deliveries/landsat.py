"""Describe the scene in a Landsat bundle of the USGS: one file for each band, and `*_MTL`.

Names of bands and values follow the Data Format Control Books of Collection 1 and 2
(https://www.usgs.gov/landsat-missions/landsat-data-format-control-books).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NotRequired, TypedDict

from swath.errors import SceneError
from swath.items.addresses import shown
from swath.items.deliveries.assets import make_asset
from swath.items.deliveries.landsat_metadata import Groups, parse_landsat_metadata
from swath.items.deliveries.manifests import Manifest, Part, collect_parts
from swath.items.deliveries.numbers import parse_number, parse_time
from swath.items.scene_item import ItemBand, SceneItem
from swath.items.sources import SceneSources
from swath.messages.acquisition import Acquisition

_IMAGE_SUFFIXES = (".tif", ".tiff", ".jp2")
_BAND = re.compile(r"FILE_NAME_BAND_(?P<number>(ST_)?B?\d+(_VCID_\d)?)")
_OLI_NAMES = (
    *("coastal", "blue", "green", "red", "nir08", "swir16", "swir22", "pan", "cirrus"),
    *("lwir11", "lwir12"),
)
_TM_NAMES = ("blue", "green", "red", "nir08", "swir16", "lwir", "swir22", "pan")
"""Common names of the bands from 1 (STAC's extension EO), of OLI/TIRS and of TM/ETM+."""
_PANCHROMATIC, _OLI_THERMAL, _TM_THERMAL = "8", {"10", "11", "ST_B10"}, {"6", "ST_B6"}
_QUANTITIES = {
    "REFLECTANCE": "reflectance",
    "TEMPERATURE": "kelvin",
    "RADIANCE": "W m-2 sr-1 um-1",
}
"""Unit of each quantity, in the order in which a band's quantity is chosen."""
_RESCALING_GROUPS = (
    *("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS"),
    *("LEVEL1_RADIOMETRIC_RESCALING", "RADIOMETRIC_RESCALING"),
)


class _Description(TypedDict):
    """Properties of a file's asset."""

    key: str
    role: NotRequired[str]
    gsd: NotRequired[float | None]
    bands: tuple[ItemBand, ...]


def parse_landsat_manifest(content: bytes, uri: str) -> Manifest:
    """Return the images of a bundle; its other files say the same or are not needed.

    Args:
        content: Content of the `*_MTL` file.
        uri: Address of the file.

    Raises:
        SceneError: The file is not valid, or lists files outside of its folder.
    """
    files = _files(parse_landsat_metadata(content, uri))
    images = [name for name in files.values() if name.lower().endswith(_IMAGE_SUFFIXES)]
    return Manifest(uri, collect_parts(uri, (Part(name) for name in images)))


def describe_landsat(content: bytes, uri: str, sources: SceneSources, *, etag: str) -> SceneItem:
    """Return the scene of a bundle, with the units that its own metadata state.

    Reflectance of Level-1 is that of the metadata's factors: not corrected for the sun's elevation.

    Args:
        content: Content of the `*_MTL` file.
        uri: Address of the file.
        sources: Allowed sources, with the folder of the bundle.
        etag: ETag of the file.

    Raises:
        SceneError: The file is not valid, or lists files outside of its folder.
    """
    groups = parse_landsat_metadata(content, uri)
    listed = {part.path for part in parse_landsat_manifest(content, uri).parts}
    product = shown(_value(groups, "LANDSAT_PRODUCT_ID") or _value(groups, "LANDSAT_SCENE_ID"))
    if not product:
        raise SceneError(f"{shown(uri)} states no id of a product; deliver the file again")
    folder = uri.rpartition("/")[0]
    assets = [
        make_asset(folder, name, sources, **_describe_file(field, name, product, groups))
        for field, name in _files(groups).items()
        if name in listed
    ]
    is_oli = _is_oli(groups)
    return SceneItem(
        uri=uri,
        etag=etag,
        item_id=product,
        collection=_collection(groups),
        acquisition=_acquisition(groups, min((a.gsd for a in assets if a.gsd), default=None)),
        assets=tuple(assets),
        sensor="landsat-oli" if is_oli else "",
    )


def _files(groups: Groups) -> Mapping[str, str]:
    """Return the names of the product's files by the name of their value."""
    group = groups.get("PRODUCT_CONTENTS") or groups.get("PRODUCT_METADATA") or {}
    return {name: value for name, value in group.items() if name.startswith("FILE_NAME_")}


def _describe_file(field: str, name: str, product: str, groups: Groups) -> _Description:
    key = name.rpartition(".")[0].removeprefix(f"{product}_")
    match = _BAND.fullmatch(field)
    if not match:
        is_quality = field.startswith("FILE_NAME_QUALITY") or field == "FILE_NAME_BAND_QUALITY"
        role = "data-mask" if is_quality else "metadata"
        return {"key": key, "role": role, "bands": (ItemBand(name=key),)}
    number = match["number"]
    return {
        "key": key,
        "gsd": _gsd(number, groups),
        "bands": (_describe_band(number, groups),),
    }


def _describe_band(number: str, groups: Groups) -> ItemBand:
    common_names = _OLI_NAMES if _is_oli(groups) else _TM_NAMES
    index = int(number.removeprefix("ST_").removeprefix("B").partition("_")[0]) - 1
    is_known = _has_known_bands(groups) and 0 <= index < len(common_names)
    scale, offset, unit = _rescaling(number, groups)
    return ItemBand(
        name=number if number.startswith("ST_") else f"B{number}",
        common_name=common_names[index] if is_known else "",
        scale=scale,
        offset=offset,
        unit=unit,
        # All products fill with 0; those before Collection 2 do not say so in their images.
        nodata=0.0,
    )


def _rescaling(number: str, groups: Groups) -> tuple[float | None, float | None, str]:
    """Return scale, offset and unit of a band, of Level-2 if the file has those."""
    for name in _RESCALING_GROUPS:
        group = groups.get(name, {})
        for quantity, unit in _QUANTITIES.items():
            scale = parse_number(group.get(f"{quantity}_MULT_BAND_{number}"))
            offset = parse_number(group.get(f"{quantity}_ADD_BAND_{number}"))
            if scale and offset is not None:
                return scale, offset, unit
    return None, None, ""


def _gsd(number: str, groups: Groups) -> float | None:
    kind = "REFLECTIVE"
    if number == _PANCHROMATIC:
        kind = "PANCHROMATIC"
    elif number.partition("_VCID")[0] in (_OLI_THERMAL if _is_oli(groups) else _TM_THERMAL):
        kind = "THERMAL"
    return parse_number(_value(groups, f"GRID_CELL_SIZE_{kind}"))


def _acquisition(groups: Groups, gsd: float | None) -> Acquisition:
    date, time = _value(groups, "DATE_ACQUIRED"), _value(groups, "SCENE_CENTER_TIME")
    cover = parse_number(_value(groups, "CLOUD_COVER"))
    roll = parse_number(_value(groups, "ROLL_ANGLE"))
    is_nadir = _value(groups, "NADIR_OFFNADIR").upper() == "NADIR"
    return Acquisition(
        acquired_at=parse_time(f"{date}T{time}") if date and time else None,
        platform=shown(_value(groups, "SPACECRAFT_ID").lower().replace("_", "-")) or None,
        gsd=gsd,
        # -1 means that the cover was not calculated.
        cloud_cover=cover if cover is not None and cover >= 0 else None,
        sun_azimuth=_azimuth(parse_number(_value(groups, "SUN_AZIMUTH"))),
        sun_elevation=parse_number(_value(groups, "SUN_ELEVATION")),
        view_off_nadir=0.0 if is_nadir else abs(roll) if roll is not None else None,
    )


def _azimuth(degrees: float | None) -> float | None:
    """Return an azimuth from 0 to 360; the metadata count from -180 to 180."""
    return degrees % 360 if degrees is not None else None


def _collection(groups: Groups) -> str:
    number = parse_number(_value(groups, "COLLECTION_NUMBER"))
    level = (_value(groups, "PROCESSING_LEVEL") or _value(groups, "DATA_TYPE"))[:2].lower()
    return "-".join(
        part for part in ("landsat", f"c{number:.0f}" if number else "", shown(level)) if part
    )


def _is_oli(groups: Groups) -> bool:
    return _value(groups, "SENSOR_ID").upper().startswith(("OLI", "TIRS"))


def _has_known_bands(groups: Groups) -> bool:
    """Return whether the numbers of bands have common names; MSS numbers them otherwise."""
    return _value(groups, "SENSOR_ID").upper().startswith(("OLI", "TIRS", "TM", "ETM"))


def _value(groups: Groups, name: str) -> str:
    return next((group[name] for group in groups.values() if name in group), "")
