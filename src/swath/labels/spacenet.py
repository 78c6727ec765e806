"""Read labels in the layout of SpaceNet: chips with building footprints, matched by tile id.

The footprints are in one GeoJSON file per chip (`geojson_buildings/`), or in one CSV summary of all
chips (`SummaryData/`). Each row of a summary has a polygon in px.
https://spacenet.ai/sn6-challenge
"""

from __future__ import annotations

import csv
import io
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import shapely

from swath import storage
from swath.errors import LabelsError
from swath.labels.files import list_files, read_headers
from swath.labels.objects import MAX_COORDINATE_PX, to_valid_polygons
from swath.labels.orientation import refuse_rotated
from swath.labels.records import Label, SceneLabels
from swath.labels.scene_matching import index_by_tile_id, tile_id
from swath.labels.text import read_text

BUILDING = "building"
"""Class of footprints that do not state a class."""
_IMAGE_COLUMN = "ImageId"
_POLYGON_COLUMN = "PolygonWKT_Pix"
_BUILDING_ID_COLUMNS = ("TileBuildingId", "BuildingId")
_SUMMARY_FOLDERS = ("SummaryData", "summaryData")
_FOOTPRINT_FOLDERS = ("geojson_buildings", "geojson/buildings")


def locate_labels(images: str) -> str | None:
    """Return the address of the summary or the folder of footprints, or None if there is neither.

    Args:
        images: Folder of the chips; the labels are in it or next to it.
    """
    for root in (images, images.rstrip("/").rpartition("/")[0] or "."):
        for folder in _SUMMARY_FOLDERS:
            matches = list_files(storage.join(root, folder), [".csv"])
            if len(matches) == 1:
                return matches[0]
        for folder in _FOOTPRINT_FOLDERS:
            if list_files(storage.join(root, folder), [".geojson"]):
                return storage.join(root, folder)
    return None


def footprint_files(labels: Sequence[str], scenes: Sequence[str]) -> Mapping[str, str]:
    """Return the footprint file of each chip that has one.

    Args:
        labels: Addresses of the footprint files.
        scenes: Addresses of the chips.

    Raises:
        LabelsError: A file belongs to no chip, or two files belong to the same chip.
    """
    chips = index_by_tile_id(scenes)
    matches: dict[str, str] = {}
    for tile, file in index_by_tile_id(labels).items():
        if tile not in chips:
            raise LabelsError(_missing_chip(file, tile, scenes))
        matches[chips[tile]] = file
    return matches


def read_summary(
    source: str, scenes: Sequence[str], *, class_name: str, bands: Sequence[str] = ()
) -> list[SceneLabels]:
    """Return chips with the footprints of a summary, in the order of the chips.

    Args:
        source: Address of the CSV summary.
        scenes: Addresses of the chips.
        class_name: Class of all footprints.
        bands: Names of the model's bands, which a scene of several files needs.

    Raises:
        LabelsError: The summary contradicts itself or the chips. The message gives the line.
        SceneError: swath cannot read a chip.
    """
    chips = index_by_tile_id(scenes)
    matches: dict[str, list[Label]] = defaultdict(list)
    numbers: set[tuple[str, str]] = set()
    for number, row in _rows(source):
        name, tile = f"{source}: line {number}", tile_id(row[_IMAGE_COLUMN])
        if tile not in chips:
            raise LabelsError(_missing_chip(name, tile or row[_IMAGE_COLUMN], scenes))
        outline = _outline(row[_POLYGON_COLUMN], name)
        if outline is None:
            continue
        _refuse_repeated_building(row, tile, numbers, name)
        x_min, y_min, x_max, y_max = outline.bounds
        matches[chips[tile]].append(
            Label(
                source=name,
                class_name=class_name,
                box=(x_min, y_min, x_max, y_max),
                outline=outline,
            )
        )
    headers = read_headers(scenes, bands)
    refuse_rotated(scenes)
    return [SceneLabels(header, matches[header.uri]) for header in headers]


def _rows(source: str) -> list[tuple[int, dict[str, str]]]:
    """Return the line number and the columns of each row of a summary."""
    text = read_text(source).decode()
    csv.field_size_limit(max(csv.field_size_limit(), len(text)))  # a polygon may be long
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    missing = {_IMAGE_COLUMN, _POLYGON_COLUMN} - set(reader.fieldnames or ())
    if missing:
        raise LabelsError(
            f"{source} has no column {' and no column '.join(sorted(missing))}; a SpaceNet "
            f"summary has {_IMAGE_COLUMN} and {_POLYGON_COLUMN}"
        )
    try:
        return [(reader.line_num, row) for row in reader]
    except csv.Error as error:
        raise LabelsError(
            f"{source}: line {reader.line_num}: {error}; write the summary as CSV, RFC 4180"
        ) from None


def _outline(text: str, name: str) -> Any:
    """Return the polygon of a row; None for the empty polygon of a chip without buildings."""
    with np.errstate(invalid="ignore"):  # NaN is refused below
        shape = shapely.from_wkt(text, on_invalid="ignore")
    if shape is None or shape.geom_type not in {"Polygon", "MultiPolygon"}:
        raise LabelsError(
            f"{name} has the invalid polygon {text[:60]!r}; write POLYGON ((x y, …)) in px"
        )
    if shape.is_empty:
        return None
    if not (np.abs(shapely.get_coordinates(shape)) <= MAX_COORDINATE_PX).all():  # refuses NaN, too
        raise LabelsError(
            f"{name} has {text[:60]!r} with coordinates that are not in px; correct or remove it"
        )
    outline = to_valid_polygons(shapely.force_2d(shape))
    if outline.is_empty:
        raise LabelsError(f"{name} has an outline without area; correct or remove it")
    return outline


def _refuse_repeated_building(
    row: dict[str, str], tile: str, numbers: set[tuple[str, str]], name: str
) -> None:
    number = next((row[column] for column in _BUILDING_ID_COLUMNS if row.get(column)), "")
    if number and (tile, number) in numbers:
        raise LabelsError(f"{name} repeats the building {number} of the tile {tile}; remove one")
    numbers.add((tile, number))


def _missing_chip(name: str, tile: str, scenes: Sequence[str]) -> str:
    return (
        f"{name} belongs to the tile {tile}, but none of the {len(scenes)} chips next to "
        f"{scenes[0]} does; add the chip, or remove its labels"
    )
