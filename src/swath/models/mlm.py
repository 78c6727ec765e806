"""Parse and check `mlm.json`, the description of a model package.

`mlm.json` is a STAC Item with the MLM extension 1.6: https://github.com/stac-extensions/mlm

The extension's schema does not cover everything that swath needs to run a model. It has no field
for box format, overlap or thresholds, and it does not check the number of scalings. So this module
parses strictly, and its errors say which field is wrong.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from swath.errors import PackageError
from swath.models.class_names import invalid_name_reason
from swath.models.mlm_output import (
    Hyperparameters,
    MlmOutput,
    NamedEntry,
    Precision,
    Structure,
    check_tasks,
    parse_output_spec,
)
from swath.models.output_spec import OutputSpec
from swath.models.scaling import Scaling, finite_range, is_degenerate
from swath.raster.assets.stack import (
    DEFAULT_GSD_TOLERANCE,
    DEFAULT_RESAMPLING,
    BandNeeds,
    Resampling,
)
from swath.raster.band_units import Unit, Units
from swath.raster.radiometry.comparison import TrainingStatistics
from swath.storage.encoding import to_utf8

WeightsFormat = Literal["onnx", "torchscript", "pt2"]

MAX_BANDS = 1024
MAX_HREF_CHARACTERS = 1024
"""Maximum length in characters of a weights file's name, including its folders."""
INPUT_AXES = ["batch", "bands", "height", "width"]
MODEL_ROLE = "mlm:model"
STATISTICS_PROPERTY = "swath:statistics"
"""Property that holds the band statistics of the training scenes."""
FORMAT_BY_SUFFIX: dict[str, WeightsFormat] = {".onnx": "onnx", ".pt": "torchscript", ".pt2": "pt2"}
_REMEDY = (
    "correct the file by the STAC extension MLM 1.6, or create the package again with "
    "`swath model init`"
)
_SIXTEEN_BITS = (-(1 << 15), (1 << 16) - 1)
"""Range of signed and unsigned 16-bit integers. Each scaling must keep it finite in float32."""
_SHA256_MULTIHASH = re.compile("1220[0-9a-f]{64}")  # function 0x12 (SHA2-256), 0x20 bytes


class WeightsAsset(msgspec.Struct, frozen=True, kw_only=True):
    """Weights file that `mlm.json` lists."""

    name: str
    """Path of the file, relative to the package's folder."""
    format: WeightsFormat
    sha256: str | None
    """SHA-256, hex, of the file; None if `mlm.json` gives none."""


class ModelDescription(OutputSpec, frozen=True, kw_only=True):
    """Content of `mlm.json`, checked and in swath's terms."""

    name: str
    """Name of the model."""
    bands: tuple[str, ...]
    """Names of the input bands, in order."""
    scaling: tuple[Scaling | None, ...]
    """Value scaling of each band; None leaves the band unscaled."""
    units: Units
    """Unit of each band, before scaling; None if `mlm.json` gives none."""
    expected: TrainingStatistics | None
    """Band statistics of the training scenes, in `units`."""
    tile_size: int
    """Tile size in px; tiles are square."""
    overlap: int
    """Overlap of neighboring tiles in px."""
    batch_size: int
    """Suggested number of tiles per batch."""
    fill_value: float
    """Value of invalid pixels, in the scene's numbers, before scaling."""
    precision: Precision
    """Precision that a GPU may compute in; a CPU computes in float32."""
    weights: tuple[WeightsAsset, ...]
    gsd: float | None = None
    """Ground sampling distance in m that scenes are resampled to; None for each scene's own."""
    gsd_tolerance: float = DEFAULT_GSD_TOLERANCE
    """Relative deviation from `gsd` up to which a scene keeps its own pixels."""
    resampling: Resampling = DEFAULT_RESAMPLING
    """Method by which bands on another pixel grid are resampled."""

    @property
    def band_needs(self) -> BandNeeds:
        """Requirements for the bands of a scene: names, resolution and resampling."""
        return BandNeeds(self.bands, self.gsd, self.gsd_tolerance, self.resampling)

    @property
    def output_spec(self) -> OutputSpec:
        """Description of the model's outputs, which is all that stitching needs."""
        return OutputSpec(**{name: getattr(self, name) for name in OutputSpec.__struct_fields__})


class _Input(msgspec.Struct):
    bands: list[str | NamedEntry]
    input: Structure
    value_scaling: list[Scaling | None] | None = None


class _Band(msgspec.Struct):
    """STAC 1.1 band, with the fields of the raster extension.

    https://github.com/stac-extensions/raster
    """

    name: str = ""
    unit: str | None = None
    scale: float | None = msgspec.field(name="raster:scale", default=None)
    offset: float | None = msgspec.field(name="raster:offset", default=None)


class _Properties(msgspec.Struct):
    name: str = msgspec.field(name="mlm:name")
    inputs: list[_Input] = msgspec.field(name="mlm:input")
    outputs: list[MlmOutput] = msgspec.field(name="mlm:output")
    hyperparameters: Hyperparameters = msgspec.field(name="mlm:hyperparameters")
    batch_size: Annotated[int, Meta(gt=0)] = msgspec.field(
        name="mlm:batch_size_suggestion", default=8
    )
    bands: list[_Band] = msgspec.field(default_factory=list)
    expected: TrainingStatistics | None = msgspec.field(name=STATISTICS_PROPERTY, default=None)
    tasks: list[str] = msgspec.field(name="mlm:tasks", default_factory=list)


class _Asset(msgspec.Struct):
    href: str
    roles: list[str] = msgspec.field(default_factory=list)
    checksum: str | None = msgspec.field(name="file:checksum", default=None)


class _Item(msgspec.Struct):
    properties: _Properties
    assets: dict[str, _Asset]


def parse_description(text: bytes) -> ModelDescription:
    """Parse the content of an `mlm.json`.

    Args:
        text: Content of the file, in UTF-8, UTF-16 or UTF-32.

    Raises:
        PackageError: The text is not a valid `mlm.json`, describes a model that swath cannot run,
            or contradicts itself. The message names the field.
    """
    try:
        item = msgspec.json.decode(to_utf8(text), type=_Item)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise PackageError(f"mlm.json: {error}; {_REMEDY}") from None
    properties = item.properties
    if properties.name and (reason := invalid_name_reason([properties.name])):
        raise PackageError(f"mlm:name is {reason}; rename the model")
    if properties.tasks:
        check_tasks("mlm:tasks", properties.tasks)
    source, options = _single_input(properties), properties.hyperparameters
    bands = tuple(band if isinstance(band, str) else band.name for band in source.bands)
    _check_bands(bands)
    size = _tile_size(source.input, bands, options)
    spec = parse_output_spec(properties.outputs, options)
    return ModelDescription(
        **{name: getattr(spec, name) for name in spec.__struct_fields__},
        name=properties.name,
        bands=bands,
        scaling=_parse_scaling(source, bands, options.fill_value),
        units=_parse_units(properties.bands, bands),
        expected=_check_statistics(properties.expected, bands),
        tile_size=size,
        overlap=_overlap(options.overlap, size),
        batch_size=properties.batch_size,
        fill_value=options.fill_value,
        precision=options.precision,
        gsd=options.gsd,
        gsd_tolerance=options.gsd_tolerance,
        resampling=options.resampling,
        weights=_parse_weights(item.assets),
    )


def _check_bands(bands: tuple[str, ...]) -> None:
    if len(bands) > MAX_BANDS:
        raise PackageError(
            f"mlm:input names {len(bands)} bands; the maximum is {MAX_BANDS}: leave out the bands "
            "that the model does not need"
        )
    # A band may have no name, and two bands may share a name.
    if reason := next(
        (reason for name in bands if name and (reason := invalid_name_reason([name]))), None
    ):
        raise PackageError(f"mlm:input bands names {reason}; rename it")


def _single_input(properties: _Properties) -> _Input:
    if len(properties.inputs) != 1:
        raise PackageError(
            f"mlm:input has {len(properties.inputs)} entries; swath runs models with one input"
        )
    return properties.inputs[0]


def _parse_scaling(
    source: _Input, bands: tuple[str, ...], fill_value: float
) -> tuple[Scaling | None, ...]:
    scalings = source.value_scaling or [None]
    if len(scalings) not in {1, len(bands)}:
        raise PackageError(
            f"mlm:input has {len(bands)} bands ({', '.join(bands)}) and {len(scalings)} "
            "value_scaling entries; give one for all bands, or one for each"
        )
    if degenerate := next((s for s in scalings if is_degenerate(s)), None):
        raise PackageError(
            f"mlm:input value_scaling {degenerate} divides by zero or reverses its range; correct "
            "its numbers"
        )
    for scaling in scalings:
        low, high = finite_range([scaling]).common
        if not low <= _SIXTEEN_BITS[0] <= _SIXTEEN_BITS[1] <= high:
            raise PackageError(
                f"mlm:input value_scaling {scaling} scales 16-bit values beyond float32; give the "
                "minimum, maximum, mean or stddev of the scene's own values"
            )
        if not low <= fill_value <= high:
            raise PackageError(
                f"mlm:hyperparameters fill_value {fill_value:g} exceeds float32 once {scaling} is "
                "applied; give a value in the range of the scenes"
            )
    return tuple(scalings) if len(scalings) == len(bands) else tuple(scalings) * len(bands)


def _parse_units(described: list[_Band], bands: tuple[str, ...]) -> Units:
    """Return the unit of each input band, from the entry of the same name in the Item's `bands`."""
    by_name = {band.name: band for band in described}
    return tuple(_parse_unit(by_name[name]) if name in by_name else None for name in bands)


def _parse_unit(band: _Band) -> Unit | None:
    if band.unit is None and band.scale is None and band.offset is None:
        return None
    scale = 1.0 if band.scale is None else band.scale
    unit = Unit(name=band.unit or "", scale=scale, offset=band.offset or 0.0)
    if not unit.is_invertible:
        raise PackageError(
            f"bands: {band.name} has the raster:scale {unit.scale} and the raster:offset "
            f"{unit.offset}; both must be finite, and the scale not 0"
        )
    return unit


def _check_statistics(
    expected: TrainingStatistics | None, bands: tuple[str, ...]
) -> TrainingStatistics | None:
    if expected is not None and not expected.is_complete_for(len(bands)):
        raise PackageError(
            f"{STATISTICS_PROPERTY} is incomplete, or not of {len(bands)} bands "
            f"({', '.join(bands)}); compute it again with `swath model statistics`"
        )
    return expected


def _tile_size(source: Structure, bands: tuple[str, ...], options: Hyperparameters) -> int:
    if source.dim_order != INPUT_AXES or len(source.shape) != len(INPUT_AXES):
        raise PackageError(
            f"mlm:input has axes {source.dim_order} and shape {source.shape}; "
            f"swath feeds {INPUT_AXES}"
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
            f"{options.tile_size}; give the tile size in one of them"
        )
    return size


def _overlap(overlap: int, size: int) -> int:
    if overlap >= size:
        raise PackageError(
            f"tiles of {size} px cannot overlap by {overlap} px; give a smaller overlap"
        )
    return overlap


def _parse_weights(assets: dict[str, _Asset]) -> tuple[WeightsAsset, ...]:
    weights = tuple(
        _parse_weights_asset(asset) for asset in assets.values() if MODEL_ROLE in asset.roles
    )
    if not weights:
        raise PackageError(
            f"mlm.json has no asset with the role {MODEL_ROLE}; add the role to the weights"
        )
    return weights


def _parse_weights_asset(asset: _Asset) -> WeightsAsset:
    if len(asset.href) > MAX_HREF_CHARACTERS:
        raise PackageError(
            f"mlm.json: the href of an asset has {len(asset.href)} characters; the maximum is "
            f"{MAX_HREF_CHARACTERS}: shorten the name of the file"
        )
    path = PurePosixPath(asset.href)
    if "://" in asset.href or path.is_absolute() or ".." in path.parts:
        raise PackageError(
            f"mlm.json: the weights {asset.href} must lie inside the package; copy them "
            "there, and correct the href"
        )
    if path.suffix not in FORMAT_BY_SUFFIX:
        raise PackageError(
            f"mlm.json: {asset.href} has a format that swath cannot run; use .onnx, .pt "
            "(TorchScript) or .pt2 (torch.export)"
        )
    checksum = asset.checksum
    if checksum is not None and not _SHA256_MULTIHASH.fullmatch(checksum):
        raise PackageError(
            f"mlm.json: file:checksum of {asset.href} is not a SHA2-256 multihash; remove it, "
            "or create the package again with `swath model init`"
        )
    return WeightsAsset(
        name=path.as_posix(),
        format=FORMAT_BY_SUFFIX[path.suffix],
        sha256=checksum.removeprefix("1220") if checksum else None,
    )
