"""Write `mlm.json` for a folder of weights: a STAC Item with the MLM extension 1.6.

https://github.com/stac-extensions/mlm. The Item is parsed before it is saved, so swath never writes
a description that it cannot run.
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
    FORMAT_BY_SUFFIX,
    INPUT_AXES,
    MODEL_ROLE,
    STATISTICS_PROPERTY,
    WeightsFormat,
    parse_description,
)
from swath.models.scaling import Scaling
from swath.raster.band_units import Unit, Units
from swath.raster.radiometry.comparison import TrainingStatistics

_EXTENSIONS = (
    "https://stac-extensions.github.io/mlm/v1.6.0/schema.json",
    "https://stac-extensions.github.io/classification/v2.0.0/schema.json",
    "https://stac-extensions.github.io/file/v2.1.0/schema.json",
)
RASTER_EXTENSION = "https://stac-extensions.github.io/raster/v2.0.0/schema.json"
"""STAC extension that states the scale and offset of bands."""
DEFAULT_PERIOD = ("1900-01-01T00:00:00Z", "9999-12-31T23:59:59Z")
"""Default period of a model that is not bound to a time, as MLM's best practices recommend."""
TRAINING_PROPERTY = "swath:training"
"""Item property that records the training data and metrics of a package."""
_NUMBER_ARRAY = re.compile(r"\[\n\s+([-+.\deE,\s]+?)\n\s+\]")
"""Pattern of a number array in indented JSON; it matches no string, since strings hold no
newline."""
_BINARY_TYPE = "application/octet-stream"
_ASSET_FIELDS: dict[WeightsFormat, dict[str, str]] = {
    "onnx": {
        "type": f"{_BINARY_TYPE}; framework=onnx",
        "title": "Weights for ONNX Runtime",
        "mlm:artifact_type": "torch.onnx.export",
    },
    "pt2": {
        "type": f"{_BINARY_TYPE}; application=pytorch",
        "title": "Weights by torch.export",
        "mlm:artifact_type": "torch.export.save",
    },
    "torchscript": {
        "type": f"{_BINARY_TYPE}; application=pytorch",
        "title": "Weights in TorchScript",
        "mlm:artifact_type": "torch.jit.save",
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageOutput:
    """One output of the model."""

    name: str
    shape: tuple[int, ...]
    """Length of each axis, -1 for any; the batch axis comes first, if there is one."""
    axes: tuple[str, ...]
    """Names of the axes."""
    data_type: str = "float32"
    is_read: bool = True
    """True if swath reads the output; False for an output that is irrelevant to the task."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageSpec:
    """Content of a package's description."""

    name: str
    architecture: str
    task: str
    """Task as the MLM extension names it: `object-detection`, `semantic-segmentation`, …"""
    bands: tuple[str, ...]
    scaling: tuple[Scaling | None, ...]
    """Scalings of the bands: one for each band, or one for all."""
    tile_size: int
    overlap: int
    outputs: tuple[PackageOutput, ...]
    """Outputs in the model's order."""
    classes: tuple[str, ...]
    """Class names in the order of the model's scores."""
    hyperparameters: Mapping[str, Any]
    """Settings for reading the outputs: `score_threshold`, `head`, `box_format`, …; never None."""
    weights: tuple[str, ...]
    """Names of the weights files in the folder."""
    input_name: str = "image"
    batch: int = -1
    """Fixed batch size of the weights in tiles; -1: any."""
    batch_size: int = 8
    """Initial batch size on a GPU, in tiles."""
    framework: str = "PyTorch"
    parameters: int | None = None
    period: tuple[str, str] = DEFAULT_PERIOD
    """Acquisition period that the model is valid for, such as that of its training scenes."""
    units: Units = ()
    """Units of the bands, one for each; empty if unknown."""
    expected: TrainingStatistics | None = None
    """Statistics of the training scenes' bands, in `units`."""
    properties: Mapping[str, Any] = field(default_factory=dict)
    """Further properties of the Item: license, title, digest of the training data, metrics."""


def write_description(folder: Path, spec: PackageSpec) -> None:
    """Write the `mlm.json` of the weights in a folder, with their checksums.

    Equal specs and weights produce identical bytes.

    Args:
        folder: Folder of the weights, to which `mlm.json` is written.
        spec: Content of the description.

    Raises:
        PackageError: Weights are missing, or swath cannot run what the spec describes. An existing
            `mlm.json` stays unchanged.
    """
    write_item(folder, build_item(folder, spec))


def build_item(folder: Path, spec: PackageSpec) -> dict[str, Any]:
    """Return the STAC Item that describes the weights in a folder.

    Raises:
        PackageError: A weights file is missing, unsupported, or the second of its format.
    """
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [*_EXTENSIONS, *([RASTER_EXTENSION] if any(spec.units) else [])],
        "id": spec.name,
        "geometry": None,
        "properties": _properties(spec),
        "links": [],
        "assets": build_assets(folder, spec.weights),
    }


def write_item(folder: Path, item: Mapping[str, Any]) -> None:
    """Write an Item as a folder's `mlm.json`; after an error, an existing file stays unchanged.

    Raises:
        PackageError: swath cannot run what the Item describes.
    """
    text = _NUMBER_ARRAY.sub(_in_one_line, json.dumps(item, indent=2, ensure_ascii=False)).encode()
    text += b"\n"
    parse_description(text)
    partial = folder / f".{packing.DESCRIPTION_FILE}"
    partial.write_bytes(text)
    partial.rename(folder / packing.DESCRIPTION_FILE)


def _in_one_line(numbers: re.Match[str]) -> str:
    return f"[{' '.join(numbers[1].split())}]"


def build_assets(folder: Path, weights: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return the Item's assets for weights files, with the format as the key.

    Raises:
        PackageError: A file is missing, unsupported, or the second of its format.
    """
    assets: dict[str, dict[str, Any]] = {}
    for name in weights:
        weights_format = FORMAT_BY_SUFFIX.get(PurePosixPath(name).suffix)
        if weights_format is None:
            raise PackageError(
                f"{name} has a format that swath cannot run; use {', '.join(FORMAT_BY_SUFFIX)}"
            )
        if weights_format in assets:
            raise PackageError(
                f"{assets[weights_format]['href']} and {name} have one format; a package has one "
                "file of each format"
            )
        assets[weights_format] = _asset(folder / name, name, weights_format)
    return assets


def _asset(path: Path, name: str, weights_format: WeightsFormat) -> dict[str, Any]:
    if not path.is_file():
        raise PackageError(f"the weights {path} do not exist; check the path")
    return {
        "href": name,
        **_ASSET_FIELDS[weights_format],
        "roles": [MODEL_ROLE, "mlm:weights"],
        "file:size": path.stat().st_size,
        # Multihash prefix: SHA2-256 is function 0x12, and its digest has 0x20 bytes.
        "file:checksum": f"1220{packing.sha256(path)}",
    }


def _properties(spec: PackageSpec) -> dict[str, Any]:
    start, end = spec.period
    properties = {
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
        properties[STATISTICS_PROPERTY] = msgspec.to_builtins(spec.expected)
    if spec.parameters is not None:
        properties["mlm:total_parameters"] = spec.parameters
    return properties | dict(spec.properties)


def band_entry(name: str, unit: Unit | None) -> dict[str, Any]:
    """Return the STAC entry of a band, with its unit in the fields of the raster extension.

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


def _output(output: PackageOutput, spec: PackageSpec) -> dict[str, Any]:
    first_label = int(spec.hyperparameters.get("first_label") or 0)
    entry: dict[str, Any] = {
        "name": output.name,
        "tasks": [spec.task] if output.is_read else [],
        "result": {
            "shape": list(output.shape),
            "dim_order": list(output.axes),
            "data_type": output.data_type,
        },
        "post_processing_function": None,
    }
    if output.is_read:
        entry["classification:classes"] = [
            {"value": first_label + index, "name": name, "description": name}
            for index, name in enumerate(spec.classes)
        ]
    return entry
