"""Define the parts of a STAC Item that swath reads; msgspec skips all other members.

Names and meanings: https://github.com/radiantearth/stac-spec/blob/v1.1.0/item-spec/item-spec.md,
the extensions EO 1.1 and 2.0, and Raster 1.1 and 2.0.
"""

from __future__ import annotations

from typing import Any

import msgspec


class StacRasterBand(msgspec.Struct, frozen=True):
    """Entry of `raster:bands` (STAC 1.0)."""

    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    nodata: float | str | None = None
    spatial_resolution: float | None = None


class StacBand(msgspec.Struct, frozen=True):
    """Entry of `eo:bands` (STAC 1.0) or of `bands` (STAC 1.1)."""

    name: str | None = None
    common_name: str | None = None
    gsd: float | None = None
    unit: str | None = None
    nodata: float | str | None = None
    eo_common_name: str | None = msgspec.field(default=None, name="eo:common_name")
    scale: float | None = msgspec.field(default=None, name="raster:scale")
    offset: float | None = msgspec.field(default=None, name="raster:offset")
    spatial_resolution: float | None = msgspec.field(default=None, name="raster:spatial_resolution")


class StacAlternate(msgspec.Struct, frozen=True):
    """Further address of the same file (extension Alternate Assets)."""

    href: str


class StacAsset(msgspec.Struct, frozen=True):
    """Asset of an Item."""

    href: str
    type: str | None = None
    roles: list[str] | None = None
    gsd: float | None = None
    unit: str | None = None
    nodata: float | str | None = None
    alternate: dict[str, StacAlternate] = {}
    bands: list[StacBand] | None = None
    eo_bands: list[StacBand | int] | None = msgspec.field(default=None, name="eo:bands")
    raster_bands: list[StacRasterBand] | None = msgspec.field(default=None, name="raster:bands")
    eo_common_name: str | None = msgspec.field(default=None, name="eo:common_name")
    scale: float | None = msgspec.field(default=None, name="raster:scale")
    offset: float | None = msgspec.field(default=None, name="raster:offset")
    spatial_resolution: float | None = msgspec.field(default=None, name="raster:spatial_resolution")


class StacItem(msgspec.Struct, frozen=True):
    """STAC Item."""

    id: str
    assets: dict[str, StacAsset]
    properties: dict[str, Any]
    collection: str | None = None


class DocumentHead(msgspec.Struct, frozen=True):
    """Members by which the kind of a document is known."""

    type: Any = None
    stac_version: Any = None
    files: msgspec.Raw = msgspec.Raw()
    bands: msgspec.Raw = msgspec.Raw()


class NamedBand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Band of a small JSON: `{"uri": "s3://…/a.tif", "band": 2, "scale": 0.0001}`."""

    uri: str
    band: int = 1
    scale: float | None = None
    offset: float | None = None
    unit: str | None = None
    nodata: float | str | None = None


class FileList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Small JSON of names and URIs: either `files` or `bands`."""

    files: list[str] | None = None
    bands: dict[str, str | NamedBand] | None = None
    properties: dict[str, Any] = {}
