"""Compare the names of bands, as models and Items spell them.

A band number means nothing without its sensor: B8 is near infrared on Sentinel-2 and panchromatic
on Landsat 8. Numbers are therefore translated only by what the Item itself states.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

SENTINEL2 = "sentinel-2"
LANDSAT_OLI = "landsat-oli"
_SENSOR_BANDS: dict[str, dict[str, tuple[str, ...]]] = {
    # https://sentiwiki.copernicus.eu/web/s2-mission; the red edge has one common name in EO 1.1,
    # and three in EO 2.0 and in Earth Search.
    SENTINEL2: {
        "b1": ("coastal",),
        "b2": ("blue",),
        "b3": ("green",),
        "b4": ("red",),
        "b5": ("rededge071", "rededge1", "rededge70"),
        "b6": ("rededge075", "rededge2", "rededge74"),
        "b7": ("rededge078", "rededge3", "rededge78"),
        "b8": ("nir",),
        "b8a": ("nir08",),
        "b9": ("nir09",),
        "b10": ("cirrus",),
        "b11": ("swir16",),
        "b12": ("swir22",),
    },
    # https://www.usgs.gov/faqs/what-are-band-designations-landsat-satellites
    LANDSAT_OLI: {
        "b1": ("coastal",),
        "b2": ("blue",),
        "b3": ("green",),
        "b4": ("red",),
        "b5": ("nir08", "nir"),
        "b6": ("swir16",),
        "b7": ("swir22",),
        "b8": ("pan",),
        "b9": ("cirrus",),
        "b10": ("lwir11",),
        "b11": ("lwir12",),
    },
}
"""Names of each numbered band of a sensor: common names, or names that state more."""
_PLATFORMS = {
    re.compile(r"sentinel[-_ ]?2.*"): SENTINEL2,
    re.compile(r"landsat[-_ ]?[89]"): LANDSAT_OLI,
}
_NUMBERED = re.compile(r"(?P<prefix>[a-z]+_)?b(?P<padding>0?)(?P<number>[0-9]{1,2}a?)")
"""Numbered band, with the prefix of an instrument or product: `B04`, `OLI_B4`, `SR_B4`."""
_COMMON_TO_SENSORS = {"b2": "blue", "b3": "green", "b4": "red"}
"""Numbers that mean the same on Sentinel-2 and on Landsat 8 and 9."""


def find_sensor(properties: Mapping[str, Any]) -> str:
    """Return the sensor by which an Item's band numbers are defined; empty if it states none.

    Args:
        properties: Properties of the Item. Harmonized Landsat Sentinel-2 states a platform, but has
            its own band names, which its Items list.
    """
    for member in ("constellation", "platform"):
        text = properties.get(member)
        if isinstance(text, str):
            for pattern, sensor in _PLATFORMS.items():
                if pattern.fullmatch(text.strip().casefold()):
                    return sensor
    return ""


def same_number(wanted: str, name: str, common_name: str, sensor: str) -> bool:
    """Return whether two spellings name the same numbered band, such as B04, B4 and OLI_B4.

    Spellings with and without the zero come from different sensors, so they are the same only if
    the Item states the sensor, or a common name that this number has on all of them.

    Args:
        wanted: Name of the band in the model.
        name: Name of the band, or key of the asset, in the Item.
        common_name: Common name of the band in the Item.
        sensor: Sensor of the Item.
    """
    one, other = _NUMBERED.fullmatch(wanted.casefold()), _NUMBERED.fullmatch(name.casefold())
    if not one or not other or one["number"] != other["number"]:
        return False
    if one["prefix"] and other["prefix"] and one["prefix"] != other["prefix"]:
        return False
    if one["padding"] == other["padding"]:
        return True
    number = f"b{one['number']}"
    if sensor == SENTINEL2:
        return True
    return _COMMON_TO_SENSORS.get(number, "?") == common_name.casefold()


def usual_color(wanted: str) -> str:
    """Return the color that a numbered band has on Sentinel-2, Landsat 8 and 9; empty if none."""
    match = _NUMBERED.fullmatch(wanted.casefold())
    return _COMMON_TO_SENSORS.get(f"b{match['number']}", "") if match else ""


def names_by_sensor(wanted: str, sensor: str) -> tuple[str, ...]:
    """Return the common names that a numbered band has on a sensor; none for other names.

    Landsat's numbers have no leading zero, so `B08` is not translated for a Landsat Item.
    """
    match = _NUMBERED.fullmatch(wanted.casefold())
    if not match or sensor not in _SENSOR_BANDS:
        return ()
    if sensor == LANDSAT_OLI and match["padding"]:
        return ()
    return _SENSOR_BANDS[sensor].get(f"b{match['number']}", ())


def tokens(file: str) -> list[str]:
    """Return the parts of a file's name in lower case: `LC08_…_SR_B4.TIF` has `b4` and `sr_b4`.

    Args:
        file: Name of the file, with or without its extension.
    """
    stem = re.sub(r"\.[A-Za-z0-9]{1,5}$", "", file).casefold()
    parts = [part for part in re.split(r"[_.\- ]+", stem) if part]
    return [*parts, *(f"{one}_{other}" for one, other in pairwise(parts)), stem]
