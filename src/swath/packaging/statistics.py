"""Add statistics and units of the bands to a package's description."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from swath.errors import InputError
from swath.models import packing
from swath.models.mlm import STATISTICS_PROPERTY, parse_description
from swath.packaging.write_mlm import RASTER_EXTENSION, band_entry, write_item
from swath.raster.band_units import Unit, Units
from swath.raster.radiometry.comparison import TrainingStatistics

_UNIT_FORM = "NAME, NAME,SCALE or NAME,SCALE,OFFSET, as in reflectance,0.0001,-0.1"


def parse_units(texts: Sequence[str], bands: int) -> Units:
    """Parse the units of bands from a command line.

    Args:
        texts: One unit for all bands, or one for each, such as `reflectance,0.0001,-0.1`: the
            quantity, then the scale and offset that convert a number to it.
        bands: Number of bands.

    Raises:
        InputError: A unit is invalid, or the number of units does not match.
    """
    if len(texts) not in {1, bands}:
        raise InputError(
            f"{len(texts)} units are given for {bands} bands; give one for all, or one for each"
        )
    units = tuple(_parse_unit(text) for text in texts)
    return units if len(units) == bands else units * bands


def add_statistics(
    folder: Path, scenes: Sequence[str], *, units: Units | None = None
) -> TrainingStatistics:
    """Write the statistics of scenes into the `mlm.json` of a package's folder.

    Args:
        folder: Folder of the package.
        scenes: Training scenes of the model, or scenes like them.
        units: Units of the package's bands; None keeps the units of its description.

    Returns:
        The statistics written, in those units.

    Raises:
        InputError: No scene has enough valid pixels, or the folder holds no package.
        PackageError: The package's description is invalid.
        SceneError: A scene cannot be read, or lacks a band.
    """
    # GDAL is imported only if there are scenes.
    from swath.raster.radiometry.scenes import compute_statistics  # noqa: PLC0415

    path = folder / packing.DESCRIPTION_FILE
    if not path.is_file():
        raise InputError(
            f"{folder} has no {packing.DESCRIPTION_FILE}: give the folder of a package"
        )
    text = path.read_bytes()
    description = parse_description(text)
    units = description.units if units is None else units
    expected = compute_statistics(scenes, description.band_needs, units)
    if expected is None:
        raise InputError(
            f"none of the {len(scenes)} scenes has enough valid pixels for statistics; give larger "
            "ones"
        )
    item: dict[str, Any] = json.loads(text)
    item["properties"][STATISTICS_PROPERTY] = msgspec.to_builtins(expected)
    _set_units(item, description.bands, units)
    write_item(folder, item)
    return expected


def _set_units(item: dict[str, Any], bands: Sequence[str], units: Units) -> None:
    """Write the units into an Item's `bands`, and keep the bands' other fields."""
    described: list[dict[str, Any]] = item["properties"].setdefault("bands", [])
    by_name = {band.get("name"): band for band in described}
    for name, unit in zip(bands, units, strict=True):
        if name not in by_name:
            by_name[name] = {"name": name}
            described.append(by_name[name])
        for key in ("unit", "raster:scale", "raster:offset"):
            by_name[name].pop(key, None)
        by_name[name].update(band_entry(name, unit))
    if any(units) and RASTER_EXTENSION not in item.setdefault("stac_extensions", []):
        item["stac_extensions"].append(RASTER_EXTENSION)


def _parse_unit(text: str) -> Unit:
    name, *numbers = [part.strip() for part in text.split(",")]
    try:
        unit = Unit(name, *map(float, numbers))
    except (TypeError, ValueError):
        unit = Unit(scale=0)
    if not unit.is_invertible:
        raise InputError(f"{text!r} is not a unit; write {_UNIT_FORM}, with a scale that is not 0")
    return unit
