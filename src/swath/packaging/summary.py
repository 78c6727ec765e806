"""Summarize a package in lines for display."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from swath.models import packing
from swath.models.mlm import STATISTICS_PROPERTY
from swath.models.package import load_package
from swath.models.weights_format import detect_format
from swath.packaging.write_mlm import TRAINING_PROPERTY
from swath.raster.assets.stack import DEFAULT_RESAMPLING

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription
    from swath.models.package import ModelPackage

_SHOWN_ELSEWHERE = {
    "bands",
    STATISTICS_PROPERTY,
    "datetime",
    "start_datetime",
    "end_datetime",
    TRAINING_PROPERTY,
}
_INPUT_OPTIONS = {
    "overlap",
    "fill_value",
    "tile_size",
    "head",
    "gsd",
    "gsd_tolerance",
    "resampling",
}
"""Entries of `mlm:hyperparameters` that the groups of the model and its input show."""
_MAX_LISTED_CLASSES = 20


@dataclass(frozen=True, slots=True)
class SummaryLine:
    """One line of the summary."""

    group: str
    name: str
    value: str


def summarize_package(uri: str | Path) -> list[SummaryLine]:
    """Return the facts about a package, group by group.

    Raises:
        PackageError: The package is missing or contradicts itself, or a checksum does not match.
    """
    package = load_package(uri)
    item = json.loads((package.folder / packing.DESCRIPTION_FILE).read_bytes())
    return [
        SummaryLine(group, name, value)
        for group, lines in (
            ("model", _model(package, item["properties"])),
            ("input", _input(package.description)),
            ("output", _output(package.description, item["properties"])),
            ("weights", _weights(package)),
            ("training", _training(item["properties"].get(TRAINING_PROPERTY) or {})),
            ("provenance", _provenance(item)),
        )
        for name, value in lines
    ]


def _model(package: ModelPackage, properties: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "name", package.description.name
    yield "digest", package.digest
    yield "architecture", str(properties.get("mlm:architecture", "unknown"))
    if count := properties.get("mlm:total_parameters"):
        yield "parameters", f"{count:,}"
    yield "task", package.description.task
    yield "head", package.description.head


def _input(description: ModelDescription) -> Iterator[tuple[str, str]]:
    size, overlap = description.tile_size, description.overlap
    yield "tile", f"{size} x {size} px, neighbors overlap by {overlap} px"
    inputs = zip(description.bands, description.scaling, description.units, strict=True)
    for band, scaling, unit in inputs:
        fields = msgspec.to_builtins(scaling) if scaling else {"type": "as it is"}
        words = ", ".join(f"{key} {value}" for key, value in fields.items() if key != "type")
        stated = f" of numbers in {unit}" if unit else ""
        yield f"band {band}", f"{fields['type']} {words}".strip() + stated
    if description.expected:
        yield "statistics", f"of {description.expected.scenes} scenes"
    if description.gsd:
        tolerance = f"up to {description.gsd_tolerance:.0%} more or less"
        yield "resolution", f"{description.gsd:g} m, {tolerance}"
    if description.resampling != DEFAULT_RESAMPLING:
        yield "resampling", description.resampling
    yield "fill value", f"{description.fill_value:g}"
    yield "batch on a GPU", f"{description.batch_size} tiles at first"


def _output(
    description: ModelDescription, properties: Mapping[str, Any]
) -> Iterator[tuple[str, str]]:
    for entry in properties["mlm:output"]:
        shape = ", ".join(str(length).replace("-1", "any") for length in entry["result"]["shape"])
        yield entry.get("name", "output"), f"({shape}) {entry['result']['data_type']}"
    names = description.classes
    more = (
        f" and {len(names) - _MAX_LISTED_CLASSES} more" if len(names) > _MAX_LISTED_CLASSES else ""
    )
    yield "classes", ", ".join(names[:_MAX_LISTED_CLASSES]) + more
    options = properties["mlm:hyperparameters"]
    for name in sorted(options):
        if name not in _INPUT_OPTIONS:
            yield name, _text(options[name])


def _weights(package: ModelPackage) -> Iterator[tuple[str, str]]:
    for weights, asset in zip(package.weights, package.description.weights, strict=True):
        size = weights.path.stat().st_size / 1e6
        checksum = "checksum verified" if asset.sha256 else "no checksum"
        actual_format = detect_format(weights.path)
        name = weights.format if actual_format == "other" else actual_format
        yield asset.name, f"{name}, {size:.2f} MB, {checksum}"


def _training(record: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the facts that `swath train` recorded, except the options, which are too many here."""
    for part, data in record.get("data", {}).items():
        if data:
            amount = f"{data['objects']} objects in {len(data['scenes'])} scenes"
            yield f"{part} data", f"{amount}, digest {data['digest']}"
    if "steps" in record:
        yield "length", f"{record['epochs']} epochs, {record['steps']} steps"
    for name, value in record.get("metrics", {}).items():
        yield name, f"{value:.4g}"


def _provenance(item: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    properties = item["properties"]
    for name in sorted(properties):
        if not name.startswith("mlm:") and name not in _SHOWN_ELSEWHERE:
            yield name, _text(properties[name])
    if properties.get("start_datetime"):
        yield "time", f"{properties['start_datetime']} to {properties['end_datetime']}"
    for link in item.get("links", []):
        yield link.get("rel", "link"), f"{link.get('title', '')} {link['href']}".strip()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
