"""Read the `crs` member of GeoJSON's first version (2008), which GDAL still writes.

https://geojson.org/geojson-spec.html#coordinate-reference-system-objects
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.env import Env
from rasterio.errors import CRSError

from swath.errors import LabelsError

LON_LAT = CRS.from_epsg(4326)
_NAME = re.compile(
    r"urn:(x-)?ogc:def:crs:[\w.:-]+|https?://(www\.)?opengis\.net/(def|gml)/[\w./#-]+"
    r"|[A-Za-z]\w*:\w+|CRS84|WGS84|\+.*|[A-Za-z]\w*\[.*\]",
    re.DOTALL | re.ASCII,
)
"""CRS names that GDAL parses without opening a file or a URL."""
_REMEDY = (
    'write {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}} with the '
    "CRS of the coordinates, or remove the member if these are longitude and latitude"
)


def read_crs_member(member: Any, source: str) -> CRS:
    """Return the CRS that a `crs` member names, or longitude and latitude if there is no member.

    Args:
        member: Decoded member; None if the file has none.
        source: Name of the file, for messages.

    Raises:
        LabelsError: The member names no CRS, an unknown one, or one that is neither geographic nor
            projected.
    """
    if member is None:
        return LON_LAT
    properties = member.get("properties") if isinstance(member, dict) else None
    name = properties.get("name") if isinstance(properties, dict) else None
    if isinstance(name, bool) or not isinstance(name, int | str):
        given = msgspec.json.encode(member).decode()
        raise LabelsError(f"{source}: the crs member {given[:200]} names no CRS; {_REMEDY}")
    if isinstance(name, str) and not _NAME.fullmatch(name.strip()):
        raise _unknown_crs(name, source)
    try:
        with Env():  # without Env, GDAL prints PROJ's errors on standard error
            crs = CRS.from_user_input(name)
        is_map_crs = crs.is_geographic or crs.is_projected
    except (CRSError, CPLE_BaseError, ValueError, OverflowError, AttributeError):
        raise _unknown_crs(name, source) from None
    if not is_map_crs:
        raise LabelsError(
            f"{source}: the crs member names {name!r}, which is neither geographic nor "
            f"projected; {_REMEDY}"
        )
    return crs


def refuse_own_crs(geometry: bytes, own: Any, name: str) -> None:
    """Raise an error if a feature or its geometry has a `crs` of its own, as PostGIS can write it.

    Args:
        geometry: JSON of the feature's geometry.
        own: `crs` member of the feature; None if it has none.
        name: Name of the feature, for messages.

    Raises:
        LabelsError: The feature or its geometry has a `crs` member.
    """
    if own is None and b'"crs"' in geometry:
        decoded = msgspec.json.decode(geometry)
        own = decoded.get("crs") if isinstance(decoded, dict) else None
    if own is not None:
        raise LabelsError(
            f"{name} has a crs member of its own; name one CRS for all features, in a crs "
            "member of the FeatureCollection"
        )


def _unknown_crs(name: int | str, source: str) -> LabelsError:
    return LabelsError(
        f"{source}: the crs member names {name!r}, which is not a known CRS; {_REMEDY}"
    )
