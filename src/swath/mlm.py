"""What a model package says of itself: `mlm.json`, a STAC Item by the MLM extension 1.6.

The extension's schema leaves open what swath must know to run a detector (it has no field for box
format, overlap or thresholds, and does not count scalings), so this module reads strictly and says
what is wrong. https://github.com/stac-extensions/mlm
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from swath.errors import PackageError
from swath.matching import Matching
from swath.scaling import Scaling, divides_by_zero

BoxFormat = Literal["xyxy", "xywh", "cxcywh"]
OutputLayout = Literal["channels_first", "channels_last"]
WeightsFormat = Literal["onnx", "torchscript", "pt2"]
TaskName = Literal[
    "detection", "oriented-detection", "instance-segmentation", "segmentation", "classification"
]
Precision = Literal["float32", "float16", "bfloat16"]
Share = Annotated[float, Meta(ge=0, le=1)]

_INPUT_AXES = ["batch", "bands", "height", "width"]
_TASKS = {"object-detection", "detection"}
_MODEL_ROLE = "mlm:model"
_FORMATS: dict[str, WeightsFormat] = {".onnx": "onnx", ".pt": "torchscript", ".pt2": "pt2"}
_OUTPUT_AXES = 3
_SHA256_MULTIHASH = re.compile("1220[0-9a-f]{64}")  # function 0x12 (SHA2-256), 0x20 bytes


class Hyperparameters(msgspec.Struct, frozen=True, kw_only=True):
    """Of `mlm:hyperparameters`, the ones that swath reads; others are left alone."""

    overlap: Annotated[int, Meta(ge=0)]
    """How many px neighbouring tiles share."""
    score_threshold: Share
    iou_threshold: Share
    """Above this, two boxes of one class in one tile are one object."""
    box_format: BoxFormat
    output_layout: OutputLayout = "channels_first"
    """(batch, 4 + classes, candidates), or (batch, candidates, 4 + classes)."""
    tile_size: Annotated[int, Meta(gt=0)] | None = None
    """Where the input's shape leaves height and width open."""
    fill_value: float = 0.0
    """What stands in for pixels that are not valid, in the scene's numbers, before scaling."""
    merge: Matching | None = None
    """By default non-maximum suppression by `iou_threshold`."""
    precision: Precision = "float32"


class WeightsAsset(msgspec.Struct, frozen=True, kw_only=True):
    """One file of weights, as the description names it."""

    name: str
    format: WeightsFormat
    sha256: str | None


class ModelDescription(msgspec.Struct, frozen=True, kw_only=True):
    """What `mlm.json` says, checked and in swath's words."""

    name: str
    bands: tuple[str, ...]
    scaling: tuple[Scaling | None, ...]
    """One a band."""
    tile_size: int
    overlap: int
    batch_size: int
    classes: tuple[str, ...]
    score_threshold: float
    iou_threshold: float
    box_format: BoxFormat
    output_layout: OutputLayout
    fill_value: float
    weights: tuple[WeightsAsset, ...]
    task: TaskName = "detection"
    matching: Matching = Matching()
    precision: Precision = "float32"
    """What a GPU may compute in; a CPU computes in float32."""
    batched: bool = True
    """False: the outputs have no batch axis, so the model takes one tile a call."""
    mask: bool = False
    """Whether a semantic segmentation is written as a raster, too."""
    background: int | None = None
    """The class that is no object: it gives no polygons."""
    ignore_label: int | None = None
    """What a label map says where it says nothing."""
    min_area: float = 0.0
    """px; a segment with less is dropped."""


class _Named(msgspec.Struct):
    name: str


class _Structure(msgspec.Struct):
    shape: list[int]
    dim_order: list[str]
    data_type: str


class _Input(msgspec.Struct):
    bands: list[str | _Named]
    input: _Structure
    value_scaling: list[Scaling | None] | None = None


class _Output(msgspec.Struct):
    tasks: list[str]
    result: _Structure
    classes: list[_Named] = msgspec.field(name="classification:classes", default_factory=list)


class _Properties(msgspec.Struct):
    name: str = msgspec.field(name="mlm:name")
    inputs: list[_Input] = msgspec.field(name="mlm:input")
    outputs: list[_Output] = msgspec.field(name="mlm:output")
    hyperparameters: Hyperparameters = msgspec.field(name="mlm:hyperparameters")
    batch_size: Annotated[int, Meta(gt=0)] = msgspec.field(
        name="mlm:batch_size_suggestion", default=8
    )


class _Asset(msgspec.Struct):
    href: str
    roles: list[str] = msgspec.field(default_factory=list)
    checksum: str | None = msgspec.field(name="file:checksum", default=None)


class _Item(msgspec.Struct):
    properties: _Properties
    assets: dict[str, _Asset]


def parse_description(text: bytes) -> ModelDescription:
    """Read an `mlm.json`.

    Raises:
        PackageError: it is not one, describes something that swath cannot run, or contradicts
            itself; the message names the field.
    """
    try:
        item = msgspec.json.decode(text, type=_Item)
    except msgspec.DecodeError as error:
        raise PackageError(f"mlm.json: {error}") from None
    properties = item.properties
    source, output = _only_input(properties), _only_output(properties)
    options = properties.hyperparameters
    bands = tuple(band if isinstance(band, str) else band.name for band in source.bands)
    classes = tuple(entry.name for entry in output.classes)
    _check_classes(classes, output.result, options.output_layout)
    return ModelDescription(
        name=properties.name,
        bands=bands,
        scaling=_scaling(source, bands),
        tile_size=(size := _tile_size(source.input, bands, options)),
        overlap=_overlap(options.overlap, size),
        batch_size=properties.batch_size,
        classes=classes,
        score_threshold=options.score_threshold,
        iou_threshold=options.iou_threshold,
        box_format=options.box_format,
        output_layout=options.output_layout,
        fill_value=options.fill_value,
        weights=_weights(item.assets),
        matching=options.merge or Matching(threshold=options.iou_threshold),
        precision=options.precision,
    )


def _only_input(properties: _Properties) -> _Input:
    if len(properties.inputs) != 1:
        raise PackageError(f"mlm:input has {len(properties.inputs)} entries; swath runs one input")
    return properties.inputs[0]


def _only_output(properties: _Properties) -> _Output:
    found = [output for output in properties.outputs if _TASKS.intersection(output.tasks)]
    if len(found) != 1:
        raise PackageError(
            f"mlm:output has {len(found)} entries for object-detection; swath runs a model with one"
        )
    return found[0]


def _scaling(source: _Input, bands: tuple[str, ...]) -> tuple[Scaling | None, ...]:
    given = source.value_scaling or [None]
    if len(given) not in {1, len(bands)}:
        raise PackageError(
            f"mlm:input has {len(bands)} bands ({', '.join(bands)}) and {len(given)} value_scaling "
            "entries; give one for all bands, or one for each"
        )
    if wrong := next((s for s in given if divides_by_zero(s)), None):
        raise PackageError(f"mlm:input value_scaling {wrong} divides by zero or reverses its range")
    return tuple(given) if len(given) == len(bands) else tuple(given) * len(bands)


def _tile_size(source: _Structure, bands: tuple[str, ...], options: Hyperparameters) -> int:
    if source.dim_order != _INPUT_AXES or len(source.shape) != len(_INPUT_AXES):
        raise PackageError(
            f"mlm:input has axes {source.dim_order} and shape {source.shape}; "
            f"swath feeds {_INPUT_AXES}"
        )
    if source.data_type != "float32":
        raise PackageError(f"mlm:input data_type is {source.data_type!r}; swath feeds float32")
    _, count, height, width = source.shape
    if not bands or count not in {-1, len(bands)}:
        raise PackageError(f"mlm:input takes {count} bands and names {len(bands)}: {bands}")
    if height != width:
        raise PackageError(f"mlm:input is {width} x {height} px; swath cuts square tiles")
    size = options.tile_size if width == -1 else width
    if size is None or size < 1 or options.tile_size not in {None, size}:
        raise PackageError(
            f"mlm:input is {width} px wide and mlm:hyperparameters tile_size is "
            f"{options.tile_size}; one of them must give the size of a tile"
        )
    return size


def _overlap(overlap: int, size: int) -> int:
    if overlap >= size:
        raise PackageError(f"tiles of {size} px cannot overlap by {overlap} px")
    return overlap


def _check_classes(classes: tuple[str, ...], result: _Structure, layout: OutputLayout) -> None:
    if not classes or len(set(classes)) != len(classes):
        raise PackageError(
            f"mlm:output classification:classes names {list(classes)}; "
            "a detector needs at least one class, each of its own name"
        )
    if len(result.shape) != _OUTPUT_AXES:
        raise PackageError(
            f"mlm:output has shape {result.shape}; swath reads batch, channels and candidates"
        )
    channels = result.shape[1 if layout == "channels_first" else 2]
    if channels not in {-1, 4 + len(classes)}:
        raise PackageError(
            f"mlm:output has {channels} channels ({layout}); a box and {len(classes)} scores are "
            f"{4 + len(classes)}"
        )


def _weights(assets: dict[str, _Asset]) -> tuple[WeightsAsset, ...]:
    found = tuple(_weight(asset) for asset in assets.values() if _MODEL_ROLE in asset.roles)
    if not found:
        raise PackageError(f"mlm.json has no asset with the role {_MODEL_ROLE}")
    return found


def _weight(asset: _Asset) -> WeightsAsset:
    path = PurePosixPath(asset.href)
    if "://" in asset.href or path.is_absolute() or ".." in path.parts:
        raise PackageError(f"mlm.json: the weights {asset.href} must lie inside the package")
    if path.suffix not in _FORMATS:
        raise PackageError(
            f"mlm.json: {asset.href} is of no format that swath runs; use .onnx, .pt (TorchScript) "
            "or .pt2 (torch.export)"
        )
    checksum = asset.checksum
    if checksum is not None and not _SHA256_MULTIHASH.fullmatch(checksum):
        raise PackageError(f"mlm.json: file:checksum of {asset.href} is no SHA2-256 multihash")
    return WeightsAsset(
        name=path.as_posix(),
        format=_FORMATS[path.suffix],
        sha256=checksum.removeprefix("1220") if checksum else None,
    )
