"""Read from the header of a raster file when and how its pixels were acquired.

These metadata state the time of acquisition; the first of them that does counts:

1. `ACQUISITIONDATETIME` in GDAL's metadata domain `IMAGERY`, in UTC by GDAL's definition.
2. `IDATIM` of NITF, in UTC by the standard. Dashes mark unknown digits; the middle of the
   period counts. GDAL writes 2002-12-16 15:16:29 by default, so that time does not count.
3. `TIFFTAG_DATETIME`, if the file has no `TIFFTAG_SOFTWARE`. TIFF defines the tag as the time at
   which the image was created. Planet and satpy write the time of acquisition there. Programs that
   state their name write the time of processing. The Sentinel-1 processor is one: its time is five
   to six hours after the pass. The tag has no time zone, and is taken as UTC.

A wrong time is worse than none. But other programs may write the time of processing without their
name, so a time that the user gives takes precedence over all of these.
"""

from __future__ import annotations

import math
import re
from calendar import monthrange
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from swath.errors import SceneError
from swath.messages import UNKNOWN_ACQUISITION, Acquisition
from swath.messages.acquisition_time import describe_problem, format_time
from swath.raster.assets.ground_distance import ground_distances

if TYPE_CHECKING:
    from swath.raster.dataset import PinnedDataset
    from swath.raster.scene import Scene
    from swath.raster.scene_info import ImageInfo

_GDAL_DEFAULT_IDATIM = "20021216151629"
_GDAL_UNREADABLE_TIME = "1970-01-01 00:00:00"
"""Time that GDAL's readers of metadata state if they cannot parse that of the file."""
_IDATIM_21 = re.compile(r"(\d{4})(\d\d)(\d\d)(\d\d|--)(\d\d|--)(\d\d|--)")
_IDATIM_20 = re.compile(r"(\d\d)(\d\d|--)(\d\d|--)(\d\d|--)Z([A-Z]{3})(\d\d)")
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_CENTURY_SPLIT = 60
"""Two digits of a year of NITF 2.0 from which it is of the 20th century."""
_UNITS = (timedelta(days=1), timedelta(hours=1), timedelta(minutes=1))
"""Period that is known if hours, minutes or seconds are not."""
_SENTINEL_1 = re.compile(r"Sentinel-1([A-D])\b")
_GSD_DIGITS = 4
"""Digits of a computed ground sampling distance; it differs that much within a scene."""
_MAX_NAME_CHARACTERS = 100
_MAX_SHOWN_CHARACTERS = 40
_NUMBERS = {
    "cloud_cover": ("NITF_PIAIMC_CLOUDCVR", 0.0, 100.0),
    "sun_azimuth": ("NITF_USE00A_SUN_AZ", 0.0, 360.0),
    "sun_elevation": ("NITF_USE00A_SUN_EL", -90.0, 90.0),
    "view_off_nadir": ("NITF_USE00A_OBL_ANG", 0.0, 90.0),
}
"""Field of `Acquisition`, tag of a NITF file, and allowed range, both ends included."""


def scene_acquisition(
    scene: Scene, stated: Acquisition, scale: tuple[float, float]
) -> tuple[Acquisition, list[str]]:
    """Return the acquisition of an open scene, and warnings about what its metadata state.

    What neither the scene's document nor the header of its first file states is None, except the
    ground sampling distance, which is then computed from the georeference.

    Args:
        scene: Open scene.
        stated: Acquisition that the scene's document or its user states.
        scale: Width and height of a px of `scene` in px of the scene's finest band.

    Raises:
        SceneChangedError: A file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    header, warnings = read_acquisition(scene.files[0])
    known = header.to_json() | stated.to_json()
    if stated.acquired_at is not None:
        problem = describe_problem(datetime.fromisoformat(stated.acquired_at))
        warnings = []
        if problem:
            known["acquired_at"] = header.acquired_at
            warning = (
                f"{scene.info.uri} states {stated.acquired_at} as its time of acquisition, which "
                f"{problem}, so it was not used; give the time with --acquired-at"
            )
            warnings = [warning]
    if "gsd" not in known:
        known["gsd"] = _ground_sampling_distance(scene.info, scale)
    return Acquisition.from_json(known), warnings


def _ground_sampling_distance(info: ImageInfo, scale: tuple[float, float]) -> float | None:
    """Return the size of a px on Earth in m at the scene's center; None without a georeference."""
    try:
        across, down = ground_distances(info)
    except SceneError:
        return None
    distance = math.sqrt(across / scale[0] * down / scale[1])
    return float(f"{distance:.{_GSD_DIGITS}g}")


def read_acquisition(dataset: PinnedDataset) -> tuple[Acquisition, list[str]]:
    """Return the acquisition that the header of a file states, and warnings about it.

    Metadata that cannot be read, or make no sense, count as not stated.

    Raises:
        SceneChangedError: The file was replaced since it was opened.
        TransientError: S3 did not answer.
    """
    try:
        tags, imagery = dataset.read_tags(), dataset.read_tags("IMAGERY")
    except SceneError as error:
        return UNKNOWN_ACQUISITION, [f"no time of acquisition was read: {error}"]
    acquired_at, warning = _read_time(tags, imagery)
    warnings = [f"{dataset.uri} {warning}"] if warning else []
    numbers = {field: _number(tags, *source) for field, source in _NUMBERS.items()}
    cloud_cover = _number(imagery, "CLOUDCOVER", 0.0, 100.0)
    if cloud_cover is not None:
        numbers["cloud_cover"] = cloud_cover
    platform = _read_platform(tags, imagery)
    return Acquisition(acquired_at=acquired_at, platform=platform, **numbers), warnings


def _read_time(tags: Mapping[str, str], imagery: Mapping[str, str]) -> tuple[str | None, str]:
    """Return the time of acquisition, and a warning about one that cannot be used."""
    stated = (
        ("ACQUISITIONDATETIME", imagery.get("ACQUISITIONDATETIME", ""), _parse_imagery_time),
        ("NITF_IDATIM", tags.get("NITF_IDATIM", ""), _parse_idatim),
        (
            "TIFFTAG_DATETIME",
            "" if tags.get("TIFFTAG_SOFTWARE", "").strip() else tags.get("TIFFTAG_DATETIME", ""),
            _parse_tiff_time,
        ),
    )
    for name, text, parse in stated:
        if text.strip(" \0-"):
            try:
                time = parse(text.strip(" \0"))
            except (ValueError, OverflowError):
                problem = "is no time"
            else:
                if time is None:
                    continue
                problem = describe_problem(time)
                if not problem:
                    return format_time(time), ""
            shown = "".join(one if one.isprintable() else "?" for one in text)
            return None, (
                f"states {shown[:_MAX_SHOWN_CHARACTERS]!r} in {name}, which {problem}, so its time "
                "of acquisition is unknown; give it with --acquired-at"
            )
    return None, ""


def _parse_imagery_time(text: str) -> datetime | None:
    if text == _GDAL_UNREADABLE_TIME:
        return None
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _parse_idatim(text: str) -> datetime | None:
    """Parse NITF's IDATIM, of version 2.1 or 2.0; None if not even the day is known."""
    if text == _GDAL_DEFAULT_IDATIM:
        return None
    if match := _IDATIM_21.fullmatch(text):
        year, month, day, *clock = match.groups()
        return _middle(int(year), int(month), int(day), clock)
    if match := _IDATIM_20.fullmatch(text):
        day, *clock, month_name, short = match.groups()
        if month_name not in _MONTHS:
            raise ValueError(text)
        century = 1900 if int(short) >= _CENTURY_SPLIT else 2000
        return _middle(century + int(short), _MONTHS.index(month_name) + 1, int(day), clock)
    if re.fullmatch(r"\d{4}(\d\d|--)?-*", text):
        return None
    raise ValueError(text)


def _middle(year: int, month: int, day: int, clock: Sequence[str]) -> datetime:
    """Return the middle of a period: a day of which hours, minutes or seconds may be unknown."""
    known = [int(part) for part in clock if part != "--"]
    if list(clock[: len(known)]) != [part for part in clock if part != "--"]:
        raise ValueError(clock)
    if not 1 <= month <= len(_MONTHS) or not 1 <= day <= monthrange(year, month)[1]:
        raise ValueError(clock)
    hour, minute, second = known + [0] * (len(_UNITS) - len(known))
    start = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return start if len(known) == len(_UNITS) else start + _UNITS[len(known)] / 2


def _parse_tiff_time(text: str) -> datetime:
    return datetime.strptime(text, "%Y:%m:%d %H:%M:%S").replace(tzinfo=UTC)


def _read_platform(tags: Mapping[str, str], imagery: Mapping[str, str]) -> str | None:
    """Return the name of the satellite, in STAC's spelling: `landsat-8`, `sentinel-1a`."""
    name = imagery.get("SATELLITEID", "").strip(" \"'\0")
    if match := _SENTINEL_1.match(tags.get("TIFFTAG_IMAGEDESCRIPTION", "")):
        name = match[0]
    if not name.isprintable() or len(name) > _MAX_NAME_CHARACTERS:
        return None
    return name.lower().replace("_", "-").replace(" ", "-") or None


def _number(tags: Mapping[str, str], name: str, low: float, high: float) -> float | None:
    try:
        number = float(tags.get(name, ""))
    except ValueError:
        return None
    return number if low <= number <= high else None
