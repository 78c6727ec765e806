"""Read from the properties of a STAC Item when and how its pixels were acquired."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from swath.items.addresses import shown
from swath.messages.acquisition import Acquisition

_MAX_PLATFORM_CHARACTERS = 100
_FULL_TURN_DEGREES = 360.0
_HALF_TURN_DEGREES = 180.0
_MAX_GSD_M = 1e6
_RANGES = {
    "gsd": (1e-4, _MAX_GSD_M),
    "eo:cloud_cover": (0.0, 100.0),
    "view:sun_azimuth": (0.0, _FULL_TURN_DEGREES),
    "view:sun_elevation": (-90.0, 90.0),
    "view:off_nadir": (-_HALF_TURN_DEGREES, _HALF_TURN_DEGREES),
    "view:azimuth": (0.0, _FULL_TURN_DEGREES),
    "view:incidence_angle": (0.0, _HALF_TURN_DEGREES),
}
"""Allowed range of each numeric property, both ends included."""


def read_acquisition(properties: Mapping[str, Any]) -> tuple[Acquisition, list[str]]:
    """Return the acquisition that properties of a STAC Item state, and warnings about them.

    A property with a wrong type, or outside its range, counts as not stated.

    Args:
        properties: `properties` of the Item, as parsed JSON.

    Returns:
        The acquisition, and one sentence for each property that cannot be used.
    """
    warnings: list[str] = []
    numbers = {name: _read_number(properties, name, warnings) for name in _RANGES}
    off_nadir = numbers["view:off_nadir"]
    platform = properties.get("platform")
    return Acquisition(
        acquired_at=_read_time(properties, warnings),
        platform=_clean_name(platform) if isinstance(platform, str) else None,
        gsd=numbers["gsd"],
        cloud_cover=numbers["eo:cloud_cover"],
        sun_azimuth=numbers["view:sun_azimuth"],
        sun_elevation=numbers["view:sun_elevation"],
        # Old USGS Items sign the angle by the side to which the satellite rolled.
        view_off_nadir=abs(off_nadir) if off_nadir is not None else None,
        view_azimuth=numbers["view:azimuth"],
        view_incidence=numbers["view:incidence_angle"],
    ), warnings


def _read_number(properties: Mapping[str, Any], name: str, warnings: list[str]) -> float | None:
    value = properties.get(name)
    if value is None:
        return None
    low, high = _RANGES[name]
    # JSON's true is an int in Python; NaN fails the comparison.
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and low <= value <= high:
        return float(value)
    warnings.append(
        f"the property {name} is {shown(str(value))}, not a number from {low:g} to {high:g}, and "
        "is left out"
    )
    return None


def _read_time(properties: Mapping[str, Any], warnings: list[str]) -> str | None:
    """Return the time of the acquisition in UTC; the middle if the Item states a period."""
    exact = _parse_time(properties, "datetime", warnings)
    if exact is None:
        bounds = [_parse_time(properties, f"{end}_datetime", warnings) for end in ("start", "end")]
        start, end = bounds
        exact = start + (end - start) / 2 if start and end else start or end
    return exact.isoformat().replace("+00:00", "Z") if exact else None


def _parse_time(properties: Mapping[str, Any], name: str, warnings: list[str]) -> datetime | None:
    text = properties.get(name)
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        # STAC times are UTC, also those of old catalogs that leave out the zone.
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        warnings.append(
            f"the property {name} is {shown(str(text))}, which is no time, and is left out; "
            "write it as 2024-05-31T10:00:00Z"
        )
        return None


def _clean_name(text: str) -> str | None:
    printable = "".join(one for one in text if one.isprintable()).strip()
    return printable[:_MAX_PLATFORM_CHARACTERS] or None
