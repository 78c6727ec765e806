"""`mlm.json` for weights that lie in a folder: a STAC Item by the MLM extension 1.6.

https://github.com/stac-extensions/mlm. What is written is read back before it counts, so no
description leaves here that swath cannot run.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from swath.errors import PackageError
from swath.models import packing
from swath.models.mlm import (
    EXPECTED,
    FORMATS,
    INPUT_AXES,
    MODEL_ROLE,
    WeightsFormat,
    parse_description,
)
from swath.models.scaling import Scaling
from swath.raster.band_units import Unit, Units
from swath.raster.radiometry.comparison import Expected

_EXTENSIONS = (
    "https://stac-extensions.github.io/mlm/v1.6.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)
RASTER = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
"""The extension whose fields state the scale and the offset of bands."""
ALWAYS = ("1900-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
"""The time of a model that is bound to none, as the extension's best practices have it."""
TRAINING = "swath:training"
"""The property of a package that says what it was trained on, and how well that went."""
_NUMBERS = re.compile(r"\[\n\s+([-+.\deE,\s]+?)\n\s+\]")
"""An array of numbers in indented JSON; no string holds a line's end."""
_OCTETS = "application/octet-stream"
_ASSETS: dict[WeightsFormat, dict[str, str]] = {
    "onnx": {
        "type": f"{_OCTETS}; framework=onnx",
        "title": "Weights for ONNX Runtime",
        "mlm:artifact_type": "torch.onnx.export",
    },
    "pt2": {
        "type": f"{_OCTETS}; application=pytorch",
        "title": "Weights by torch.export",
        "mlm:artifact_type": "torch.export.save",
    },
    "torchscript": {
        "type": f"{_OCTETS}; application=pytorch",
        "title": "Weights in TorchScript",
        "mlm:artifact_type": "torch.jit.save",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """One of the model's outputs."""

    name: str
    shape: tuple[int, ...]
    """-1 for any length; the batch axis first, where there is one."""
    axes: tuple[str, ...]
    """A name for each axis."""
    data_type: str = "float32"
    read: bool = True
    """False: the model returns it, but it has nothing to do with the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSpec:
    """What a model package is to say of itself."""

    name: str
    architecture: str
    task: str
    """By the MLM extension: `object-detection`, `semantic-segmentation`, …"""
    bands: tuple[str, ...]
    scaling: tuple[Scaling | None, ...]
    """One for each band, or one for all."""
    tile_size: int
    overlap: int
    outputs: tuple[OutputSpec, ...]
    """In the model's order."""
    classes: tuple[str, ...]
    """In the order of the model's scores."""
    hyperparameters: Mapping[str, Any]
    """How the outputs are to be read: `score_threshold`, `head`, `box_format`, …; no None."""
    weights: tuple[str, ...]
    """Files of the folder."""
    input_name: str = "image"
    batch: int = -1
    """The number of tiles that the weights insist on; -1: any."""
    batch_size: int = 8
    """Tiles a batch on a GPU, to begin with."""
    framework: str = "PyTorch"
    parameters: int | None = None
    period: tuple[str, str] = ALWAYS
    """When what the model is good for was seen: that of its training scenes, if it is known."""
    units: Units = ()
    """One a band; none where nothing is known."""
    expected: Expected | None = None
    """The statistics of the training scenes' bands, in those units."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """More of the Item's properties: licence, title, digest of the training data, metrics."""


def write_description(folder: Path, spec: PackageSpec) -> None:
    """Write the `mlm.json` of the weights in a folder, with their checksums.

    The same spec and weights give the same bytes.

    Raises:
        PackageError: weights are not there, or the spec describes nothing that swath can run; no
            `mlm.json` is written, and one that was there stays.
    """
    write_item(folder, item_of(folder, spec))


def item_of(folder: Path, spec: PackageSpec) -> dict[str, Any]:
    """The STAC Item that describes the weights in a folder.

    Raises:
        PackageError: weights are not there.
    """
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [*_EXTENSIONS, *([RASTER] if any(spec.units) else [])],
        "id": spec.name,
        "geometry": None,
        "properties": _properties(spec),
        "links": [],
        "assets": assets_of(folder, spec.weights),
    }


def write_item(folder: Path, item: Mapping[str, Any]) -> None:
    """Write an Item as a folder's `mlm.json`, whole or not at all.

    Raises:
        PackageError: swath could not run what it describes.
    """
    text = _NUMBERS.sub(_in_one_line, json.dumps(item, indent=2, ensure_ascii=False)).encode()
    text += b"\n"
    parse_description(text)
    unfinished = folder / f".{packing.DESCRIPTION}"
    unfinished.write_bytes(text)
    unfinished.rename(folder / packing.DESCRIPTION)


def _in_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"


def assets_of(folder: Path, weights: Sequence[str]) -> dict[str, dict[str, Any]]:
    """The assets for files of weights; the key is the format.

    Raises:
        PackageError: a file is not there, of no format that swath runs, or the second of one.
    """
    assets: dict[str, dict[str, Any]] = {}
    for name in weights:
        kind = FORMATS.get(PurePosixPath(name).suffix)
        if kind is None:
            raise PackageError(f"{name} is of no format that swath runs: {', '.join(FORMATS)}")
        if kind in assets:
            raise PackageError(
                f"{assets[kind]['href']} and {name} are of one format; a package offers each once"
            )
        assets[kind] = _asset(folder / name, name, kind)
    return assets


def _asset(path: Path, name: str, kind: WeightsFormat) -> dict[str, Any]:
    if not path.is_file():
        raise PackageError(f"there are no weights at {path}; check the path")
    return {
        "href": name,
        **_ASSETS[kind],
        "roles": [MODEL_ROLE, "mlm:weights"],
        "file:size": path.stat().st_size,
        # A multihash: SHA2-256 is function 0x12, of 0x20 bytes.
        "file:checksum": f"1220{packing.sha256(path)}",
    }


def _properties(spec: PackageSpec) -> dict[str, Any]:
    start, end = spec.period
    known = {
        "datetime": None,
        "start_datetime": start,
        "end_datetime": end,
        "bands": [
            band_entry(name, unit)
            for name, unit in zip(spec.bands, spec.units or (None,) * len(spec.bands), strict=True)
        ],
        "mlm:name": spec.name,
        "mlm:architecture": spec.architecture,
        "mlm:tasks": [spec.task],
        "mlm:framework": spec.framework,
        "mlm:batch_size_suggestion": spec.batch_size,
        "mlm:input": [_input(spec)],
        "mlm:output": [_output(output, spec) for output in spec.outputs],
        "mlm:hyperparameters": {"overlap": spec.overlap, **spec.hyperparameters},
    }
    if spec.expected is not None:
        known[EXPECTED] = msgspec.to_builtins(spec.expected)
    if spec.parameters is not None:
        known["mlm:total_parameters"] = spec.parameters
    return known | dict(spec.properties)


def band_entry(name: str, unit: Unit | None) -> dict[str, Any]:
    """Describe a band and its unit, as STAC and its raster extension do.

    https://github.com/stac-extensions/raster
    """
    entry: dict[str, Any] = {"name": name}
    if unit is None:
        return entry
    if unit.name:
        entry["unit"] = unit.name
    return entry | {"raster:scale": unit.scale, "raster:offset": unit.offset}


def _input(spec: PackageSpec) -> dict[str, Any]:
    return {
        "name": spec.input_name,
        "bands": list(spec.bands),
        "input": {
            "shape": [spec.batch, len(spec.bands), spec.tile_size, spec.tile_size],
            "dim_order": list(INPUT_AXES),
            "data_type": "float32",
        },
        "value_scaling": None if spec.scaling == (None,) else msgspec.to_builtins(spec.scaling),
        "pre_processing_function": None,
    }


def _output(output: OutputSpec, spec: PackageSpec) -> dict[str, Any]:
    first = int(spec.hyperparameters.get("first_label") or 0)
    entry: dict[str, Any] = {
        "name": output.name,
        "tasks": [spec.task] if output.read else [],
        "result": {
            "shape": list(output.shape),
            "dim_order": list(output.axes),
            "data_type": output.data_type,
        },
        "post_processing_function": None,
    }
    if output.read:
        entry["classification:classes"] = [
            {"value": first + place, "name": name, "description": name}
            for place, name in enumerate(spec.classes)
        ]
    return entry
