"""Read the metadata file of a Landsat bundle (`*_MTL.txt`, `.json` or `.xml`) as groups of values.

Formats: https://www.usgs.gov/landsat-missions/landsat-collection-2-level-2-science-products
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from swath.errors import SceneError
from swath.items.addresses import shown
from swath.items.deliveries.xml_elements import read_elements
from swath.storage.encoding import parse_json, to_utf8

_ROOTS = ("LANDSAT_METADATA_FILE", "L1_METADATA_FILE")
_GROUPS = (
    *("PRODUCT_CONTENTS", "IMAGE_ATTRIBUTES", "PROJECTION_ATTRIBUTES"),
    *("LEVEL2_SURFACE_REFLECTANCE_PARAMETERS", "LEVEL2_SURFACE_TEMPERATURE_PARAMETERS"),
    "LEVEL1_RADIOMETRIC_RESCALING",
    # Collection 1
    *("METADATA_FILE_INFO", "PRODUCT_METADATA", "PROJECTION_PARAMETERS", "RADIOMETRIC_RESCALING"),
)
_LINE = re.compile(r"\s*(?P<name>[A-Z][A-Z0-9_]*)\s*=\s*(?P<value>.*?)\s*")
_FIELDS = re.compile(
    r"(FILE_NAME_.*|LANDSAT_PRODUCT_ID|LANDSAT_SCENE_ID|SPACECRAFT_ID|SENSOR_ID|DATE_ACQUIRED|"
    r"SCENE_CENTER_TIME|CLOUD_COVER|SUN_AZIMUTH|SUN_ELEVATION|NADIR_OFFNADIR|ROLL_ANGLE|"
    r"COLLECTION_NUMBER|PROCESSING_LEVEL|DATA_TYPE|GRID_CELL_SIZE_.*|"
    r"(REFLECTANCE|RADIANCE|TEMPERATURE)_(MULT|ADD)_BAND_.*)"
)
"""Names of the values that swath reads."""

Groups = Mapping[str, Mapping[str, str]]


def parse_landsat_metadata(content: bytes, uri: str) -> Groups:
    """Return the groups of a metadata file: values by name, by name of the group.

    Groups and values that swath does not need are left out. Some names, such as
    `FILE_NAME_BAND_1`, occur in several groups of a Level-2 file, hence the groups.

    Args:
        content: Content of the file.
        uri: Address of the file; its suffix is that of its format.

    Raises:
        SceneError: The file is not a Landsat metadata file.
    """
    suffix = uri.rpartition(".")[2].lower()
    parse = {"json": _parse_json, "xml": _parse_xml}.get(suffix, _parse_odl)
    groups = parse(content, uri)
    if not any(name in groups for name in ("PRODUCT_CONTENTS", "PRODUCT_METADATA")):
        raise SceneError(f"{shown(uri)} is not a metadata file of Landsat; deliver it again")
    return groups


def _parse_json(content: bytes, uri: str) -> Groups:
    try:
        data = parse_json(to_utf8(content))
    except (ValueError, UnicodeError) as error:
        raise _malformed(uri, error) from None
    top = data if isinstance(data, dict) else {}
    root: Any = next((top[name] for name in _ROOTS if name in top), {})
    groups = root.items() if isinstance(root, dict) else ()
    return {
        name: {field: str(value) for field, value in group.items() if _FIELDS.fullmatch(field)}
        for name, group in groups
        if name in _GROUPS and isinstance(group, dict)
    }


def _parse_xml(content: bytes, uri: str) -> Groups:
    groups: dict[str, dict[str, str]] = {}
    for element in read_elements(content, uri, _FIELDS.fullmatch):
        group = element.parents[-1] if element.parents else ""
        if group in _GROUPS:
            groups.setdefault(group, {})[element.name] = element.text
    return groups


def _parse_odl(content: bytes, uri: str) -> Groups:
    try:
        lines = to_utf8(content).decode().splitlines()
    except UnicodeError as error:
        raise _malformed(uri, error) from None
    groups: dict[str, dict[str, str]] = {}
    group = ""
    for line in lines:
        match = _LINE.fullmatch(line)
        if not match:
            continue
        name, value = match["name"], match["value"].strip('"')
        if name == "GROUP":
            group = value
        elif group in _GROUPS and _FIELDS.fullmatch(name):
            groups.setdefault(group, {})[name] = value
    return groups


def _malformed(uri: str, error: Exception) -> SceneError:
    return SceneError(f"{shown(uri)} is not valid: {shown(str(error))}; deliver the file again")
