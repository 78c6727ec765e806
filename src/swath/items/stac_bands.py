"""Describe the bands of a STAC asset, in the terms of STAC 1.0 or 1.1."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from swath.errors import SceneError
from swath.items.addresses import shown
from swath.items.scene_item import ItemBand
from swath.items.stac_types import StacAsset, StacBand, StacRasterBand

MAX_BANDS = 1000
"""Maximum number of bands that an asset may describe."""
MAX_NAME_CHARACTERS = 200
_SPECIAL_NODATA = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
"""Nodata values that JSON has no number for, as the extension Raster spells them."""
_OFFSET_APPLIED = "earthsearch:boa_offset_applied"
"""Property by which Earth Search states that its COGs no longer contain Sentinel-2's offset."""
_BASELINES = ("s2:processing_baseline", "sentinel2:processing_baseline")
_FIRST_BASELINE_WITH_OFFSET = 4.0
_JPEG2000_TYPE = "image/jp2"


def read_bands(
    asset: StacAsset, definitions: Sequence[StacBand], properties: Mapping[str, Any]
) -> tuple[ItemBand, ...]:
    """Return the bands of an asset in the order of its file; empty if the Item describes none.

    Args:
        asset: Asset of the Item.
        definitions: Bands that the properties of the Item define, to which asset may refer.
        properties: Properties of the Item.

    Raises:
        SceneError: The asset describes its bands in two contradictory manners, or too many.
    """
    names = asset.bands or [_resolve(one, definitions) for one in asset.eo_bands or []]
    rasters = asset.raster_bands or []
    if names and rasters and len(names) != len(rasters):
        # Without knowing which list is complete, no band has a certain number.
        raise SceneError(
            f"it describes {len(names)} bands by name and {len(rasters)} by raster:bands; "
            "correct one of the two"
        )
    count = max(len(names), len(rasters), int(_describes_one(asset)))
    if count > MAX_BANDS:
        raise SceneError(f"it describes {count:,} bands; the maximum is {MAX_BANDS:,}")
    return tuple(
        _read_band(
            asset,
            names[index] if names else StacBand(),
            rasters[index] if rasters else StacRasterBand(),
            properties,
        )
        for index in range(count)
    )


def _describes_one(asset: StacAsset) -> bool:
    """Return whether the members of an asset itself describe its only band (STAC 1.1)."""
    members = (asset.eo_common_name, asset.scale, asset.offset, asset.unit, asset.nodata)
    return any(one is not None for one in members)


def _resolve(one: StacBand | int, definitions: Sequence[StacBand]) -> StacBand:
    """Return a band, or the definition to which an index refers (before STAC 1.0)."""
    if isinstance(one, StacBand):
        return one
    if not 0 <= one < len(definitions):
        raise SceneError(f"it refers to band {one} of {len(definitions)} in the Item's properties")
    return definitions[one]


def _read_band(
    asset: StacAsset, band: StacBand, raster: StacRasterBand, properties: Mapping[str, Any]
) -> ItemBand:
    scale, offset = (
        _first(raster.scale, band.scale, asset.scale),
        _first(raster.offset, band.offset, asset.offset),
    )
    if scale is not None or offset is not None:
        scale, offset = _first(scale, 1.0), _first(offset, 0.0)
    unit = ItemBand(
        name=_name(band.name),
        common_name=_name(band.eo_common_name or band.common_name or asset.eo_common_name),
        scale=scale,
        offset=offset,
        unit=_name(raster.unit or band.unit or asset.unit),
        nodata=read_nodata(_first(raster.nodata, band.nodata, asset.nodata)),
        gsd=first_length(
            raster.spatial_resolution,
            band.spatial_resolution,
            band.gsd,
            asset.spatial_resolution,
            asset.gsd,
        ),
    )
    return _check_offset(unit, asset, properties)


def _check_offset(band: ItemBand, asset: StacAsset, properties: Mapping[str, Any]) -> ItemBand:
    """Return the band without an offset that the Item's own properties contradict."""
    is_jpeg2000 = (asset.type or "").startswith(_JPEG2000_TYPE)
    if band.offset and properties.get(_OFFSET_APPLIED) is True and not is_jpeg2000:
        doubt = (
            f"the Item states the offset {band.offset:g} and, by {_OFFSET_APPLIED}, that the files "
            "no longer need it; the offset is not applied"
        )
        return msgspec.structs.replace(band, offset=0.0, doubt=doubt)
    baseline = next((properties[name] for name in _BASELINES if name in properties), "")
    is_reflectance = bool(band.common_name) and band.scale is None
    if is_reflectance and _has_offset(baseline) and _OFFSET_APPLIED not in properties:
        doubt = (
            f"Sentinel-2's processing baseline {shown(str(baseline))} adds 1000 to the numbers, "
            "and the Item states no offset; the numbers are taken as they are"
        )
        return msgspec.structs.replace(band, doubt=doubt)
    return band


def _has_offset(baseline: Any) -> bool:
    try:
        return float(baseline) >= _FIRST_BASELINE_WITH_OFFSET
    except (TypeError, ValueError):
        return False


def read_nodata(value: float | str | None) -> float | None:
    """Return a nodata value as a number.

    Raises:
        SceneError: The value is a text other than nan, inf and -inf.
    """
    if not isinstance(value, str):
        return None if value is None else float(value)
    if value.lower() not in _SPECIAL_NODATA:
        raise SceneError(f"it has the nodata value {shown(value)!r}, which is no number")
    return _SPECIAL_NODATA[value.lower()]


def first_length(*values: float | None) -> float | None:
    """Return the first of several lengths in m that is positive and finite."""
    return next((one for one in values if one is not None and 0 < one < math.inf), None)


def _first(*values: Any) -> Any:
    return next((value for value in values if value is not None), None)


def _name(text: str | None) -> str:
    name = (text or "").strip()
    if len(name) > MAX_NAME_CHARACTERS or not (name.isprintable() or not name):
        raise SceneError(f"it has the name {shown(name)!r}, which is too long or not printable")
    return name
