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
RASTER_NAME = re.compile(r"\.(tiff?|jp2|j2k|ntf|nitf)$", re.IGNORECASE)
"""Ending of the name of a raster file."""
_PLATFORMS = {
    re.compile(r"sentinel[-_ ]?2.*"): SENTINEL2,
    re.compile(r"landsat[-_ ]?[89]"): LANDSAT_OLI,
}
_NUMBERED = re.compile(r"(?P<prefix>[a-z]+_)?b(?P<padding>0?)(?P<number>[0-9]{1,2}a?)")
"""Numbered band, with the prefix of an instrument or product: `B04`, `OLI_B4`, `SR_B4`."""
_COMMON_NUMBERS = {"b1": "coastal", "b2": "blue", "b3": "green", "b4": "red"}
"""Numbers that mean the same on Sentinel-2 and on Landsat 8 and 9."""
_WITHOUT_ZERO = {"b8a", "b10", "b11", "b12"}
"""Numbers of Sentinel-2 that are spelled without a leading zero."""
_OTHER_NAMES = {number: {"rededge"} for number in ("b5", "b6", "b7", "b8a")}
"""Common names that catalogs also give to bands of Sentinel-2."""


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

    Sentinel-2's numbers have a leading zero and Landsat's have none. Both spellings are therefore
    the same only for numbers that mean the same on both, if the Item does not contradict that.

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
    usual = _COMMON_NUMBERS.get(f"b{one['number']}")
    if not usual:
        return False
    return common_name.casefold() == usual if common_name else bool(sensor)


def unusual_name(wanted: str, common_name: str) -> str:
    """Return what a band number usually means, if an Item contradicts that; else an empty text.

    Args:
        wanted: Name of the band in the model.
        common_name: Common name of the selected band in the Item; empty if it has none.
    """
    match = _NUMBERED.fullmatch(wanted.casefold())
    if not match or not common_name:
        return ""
    number = f"b{match['number']}"
    sensors = [SENTINEL2] if match["padding"] else [SENTINEL2, LANDSAT_OLI]
    usual = [name for sensor in sensors for name in _SENSOR_BANDS[sensor].get(number, ())]
    if common_name.casefold() in {*usual, *_OTHER_NAMES.get(number, ())} or not usual:
        return ""
    return " or ".join(dict.fromkeys(usual))


def names_by_sensor(wanted: str, sensor: str) -> tuple[str, ...]:
    """Return the common names that a numbered band has on a sensor; none for other names.

    A number in the spelling of the other sensor, such as `B08` for Landsat or `B5` for Sentinel-2,
    is not translated, unless it means the same on both.
    """
    match = _NUMBERED.fullmatch(wanted.casefold())
    if not match or sensor not in _SENSOR_BANDS:
        return ()
    number = f"b{match['number']}"
    is_neutral = number in _COMMON_NUMBERS or number in _WITHOUT_ZERO
    if not is_neutral and bool(match["padding"]) != (sensor == SENTINEL2):
        return ()
    return _SENSOR_BANDS[sensor].get(number, ())


def tokens(file: str) -> list[str]:
    """Return the parts of a file's name in lower case: `LC08_…_SR_B4.TIF` has `b4` and `sr_b4`.

    Args:
        file: Name of the file, with or without its extension.
    """
    stem = RASTER_NAME.sub("", file).casefold()
    parts = [part for part in re.split(r"[_.\- ]+", stem) if part]
    return [*parts, *(f"{one}_{other}" for one, other in pairwise(parts)), stem]
