"""Define the options of a training, and read them from a file, strings or a command line.

Unknown options and values of the wrong type are refused.
"""

from __future__ import annotations

import difflib
import hashlib
import json
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_type_hints

import msgspec
from msgspec import Meta

from swath import storage
from swath.errors import InputError
from swath.models.mlm_output import MAX_GSD_M
from swath.raster.assets.stack import (
    DEFAULT_GSD_TOLERANCE,
    DEFAULT_RESAMPLING,
    BandNeeds,
    Resampling,
)
from swath.storage.encoding import parse_json, to_utf8
from swath.training.data.augment import AugmentOptions
from swath.training.option_values import convert_value, parse_value

PositiveInt = Annotated[int, Meta(ge=1)]
NonNegativeInt = Annotated[int, Meta(ge=0)]
Fraction = Annotated[float, Meta(ge=0, le=1)]
PositiveFloat = Annotated[float, Meta(gt=0)]
NonNegativeFloat = Annotated[float, Meta(ge=0)]
ModelName = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")]
NetworkName = Literal["detector", "unet", "segformer", "rtdetrv2", "d-fine"]
Scalar = bool | int | float | str

MAX_OPTION_BYTES = 1 << 20
"""Maximum size in bytes of a file that holds options or a search."""

NETWORK_PREFIX = "network."
"""Prefix of the names of the network's own options."""
AUGMENT_PREFIX = "augment."
"""Prefix of the names of augmentation options."""


class TrainOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of a training. Lengths are px of a scene; a step is one update of the weights."""

    name: ModelName = "model"
    """Name of the model, in its package and in every detection that it makes."""
    network: NetworkName = "detector"
    """Name of the network's architecture."""
    network_options: dict[str, Any] = {}
    """Options of the network itself, described in its class and given as `network.<option>`."""
    bands: tuple[str, ...] = ()
    """Names of the bands, in the model's order; by default all bands of the first scene."""
    tile_size: Annotated[int, Meta(ge=16, le=4096, multiple_of=16)] = 256
    """Side in px of the tiles that the package runs on."""
    crop_size: Annotated[int, Meta(ge=0, le=4096, multiple_of=16)] = 0
    """Side in px of the training crops; 0 for the tile size.

    Many small crops cover more of the scenes per step than a few large ones.
    """
    overlap: NonNegativeInt = 64
    """Overlap of neighboring tiles in px; less than `tile_size`."""
    gsd: Annotated[float, Meta(gt=0, le=MAX_GSD_M)] | None = None
    """Ground sampling distance in m that scenes are resampled to; by default, each scene keeps its
    own.

    Lengths are then px of that distance. The package states it, so runs resample scenes as well.
    """
    gsd_tolerance: Annotated[float, Meta(ge=0, lt=1)] = DEFAULT_GSD_TOLERANCE
    """Relative deviation from `gsd` up to which a scene keeps its own pixels."""
    resampling: Resampling = DEFAULT_RESAMPLING
    """Method by which bands on another pixel grid are resampled."""
    scaling: Literal["z-score", "min-max"] = "z-score"
    """Scaling of each band: by its mean and standard deviation, or by its 1st and 99th
    percentiles."""
    units: tuple[str, ...] = ()
    """Units of the pixel values that the model is trained on, one for all bands or one for each.

    A unit has a quantity, a scale and an offset, as in `reflectance,0.0001,-0.1`. By default, the
    units are those that the scenes state.
    """
    fill_value: float = 0.0
    """Value that replaces invalid pixels, in the scene's units and before scaling."""

    epochs: PositiveInt = 40
    """Maximum number of epochs."""
    crops: PositiveInt = 512
    """Number of random crops per epoch."""
    batch_size: PositiveInt = 8
    """Number of crops per batch."""
    accumulate: PositiveInt = 1
    """Number of batches per step."""
    learning_rate: PositiveFloat = 2e-3
    """Highest learning rate, which is reached after `warm_up` steps."""
    warm_up: NonNegativeInt = 50
    """Number of steps over which the learning rate rises; then it falls along a cosine."""
    final_learning_rate: Fraction = 0.01
    """Learning rate at the last step, as a fraction of `learning_rate`."""
    weight_decay: NonNegativeFloat = 1e-2
    """Weight decay of AdamW; norms and biases do not decay."""
    clip_norm: PositiveFloat = 10.0
    """Maximum norm of the gradients; longer ones are clipped to it."""
    ema_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    """Decay of the moving average of the weights, which is validated and exported."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Number format of the network; `auto` is bfloat16 on a GPU that supports it, else float32."""
    channels_last: bool = True
    """Whether tensors are stored with the channels last in memory."""
    seed: NonNegativeInt = 0
    """Seed of the random weights and of the random crops."""
    workers: NonNegativeInt = 0
    """Number of threads that cut crops; 0 for one per CPU."""
    threads: NonNegativeInt = 0
    """Number of threads that torch computes with on a CPU; 0 for one per CPU.

    Results are rounded differently with another number of threads.
    """

    positives: Fraction = 0.7
    """Fraction of the crops that are cut around an object."""
    class_weights: Literal["none", "balanced"] | tuple[PositiveFloat, ...] = "none"
    """Weight of each class's objects; `balanced` weights by the root of the inverse frequency."""
    augment: AugmentOptions = AugmentOptions()
    """Augmentation of crops; its options are given as `augment.<option>`."""
    hard_negatives: Fraction = 0.0
    """Fraction of the crops that are cut around hard negatives, the most confident false
    positives."""
    hard_negatives_from: PositiveInt = 10
    """Epoch after which the training scenes are first searched for hard negatives."""
    hard_negatives_every: PositiveInt = 10
    """Number of epochs from one search for hard negatives to the next."""
    hard_negatives_score: Fraction = 0.3
    """Minimum score of a hard negative."""

    held_out: tuple[str, ...] = ()
    """File names of training scenes to validate on, if there is no separate collection."""
    validate_from: PositiveInt = 1
    """First epoch after which the model is validated."""
    validate_every: PositiveInt = 1
    """Number of epochs from one validation to the next; the last epoch is always validated."""
    patience: NonNegativeInt = 0
    """Number of validations without improvement after which training ends; 0 for no limit."""
    keep: Literal["best", "last"] = "best"
    """Weights to export: those with the best validation score, or the last."""
    score_threshold: Fraction | None = None
    """Score from which a detection counts; by default, where F1 is highest in validation."""
    minutes: PositiveFloat | None = None
    """Time limit in minutes, after which training ends and exports its model."""
    checkpoint_seconds: NonNegativeFloat = 60.0
    """Minimum time in seconds between checkpoints within an epoch.

    A checkpoint is also saved at the end of each epoch.
    """

    def __post_init__(self) -> None:
        if self.overlap >= self.tile_size:
            raise ValueError(
                f"overlap is {self.overlap}; it must be less than tile_size, {self.tile_size}"
            )

    def band_needs(self, bands: Sequence[str]) -> BandNeeds:
        """Return the requirements of the model to be for the bands of scenes."""
        return BandNeeds(tuple(bands), self.gsd, self.gsd_tolerance, self.resampling)

    @property
    def crop_side(self) -> int:
        """Side of a training crop in px."""
        return self.crop_size or self.tile_size

    @property
    def steps_per_epoch(self) -> int:
        """Number of steps per epoch; the last one may have fewer crops."""
        return -(-self.crops // (self.batch_size * self.accumulate))

    @property
    def steps(self) -> int:
        """Number of steps of a whole training."""
        return self.epochs * self.steps_per_epoch

    @property
    def digest(self) -> str:
        """Hexadecimal SHA-256 of the options, except those that may change on resuming."""
        known = self.to_json()
        for name in _NOT_IN_DIGEST:
            del known[name]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """Return the options as plain JSON types."""
        content: dict[str, Any] = parse_json(msgspec.json.encode(self))
        return content

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read options from values of their own types.

        Args:
            values: Values by the options' names. A network's own options are named
                `network.<option>`, or are together in an object `network_options`. Those of
                `augment` are named `augment.<option>`, or are in an object `augment`.

        Raises:
            InputError: An option is unknown, or its value is not allowed. The message has the
                option, the value and what is allowed.
        """
        return cls._from_typed(
            {
                key: convert_value(key, value, _option_type(key))
                for key, value in _flatten(values).items()
            }
        )

    @classmethod
    def from_strings(cls, values: Mapping[str, str]) -> Self:
        """Read options from strings, as hyperparameters and command lines give them.

        Lists are JSON or comma-separated.

        Args:
            values: Strings by the options' names; `network.<option>` and `augment.<option>` for
                nested options.

        Raises:
            InputError: As `from_values` raises it.
        """
        return cls._from_typed(
            {key: parse_value(key, text, _option_type(key)) for key, text in values.items()}
        )

    @classmethod
    def _from_typed(cls, values: Mapping[str, Any]) -> Self:
        nested: dict[str, dict[str, Any]] = {"network_options": {}, "augment": {}}
        plain: dict[str, Any] = {}
        for key, value in values.items():
            owner, name = _split_name(key)
            if owner:
                nested[owner][name] = value
            else:
                plain[key] = value
        try:
            augment = AugmentOptions(**nested["augment"])
            return cls(**plain, augment=augment, network_options=nested["network_options"])
        except ValueError as error:
            raise InputError(f"the options contradict each other: {error}") from None

    def replaced(self, values: Mapping[str, str]) -> TrainOptions:
        """Return a copy of the options in which some are replaced.

        Args:
            values: New values, as `from_strings` takes them.

        Raises:
            InputError: As `from_values` raises it.
        """
        known = _flatten(self.to_json())
        return TrainOptions._from_typed(
            {key: convert_value(key, value, _option_type(key)) for key, value in known.items()}
            | {key: parse_value(key, text, _option_type(key)) for key, text in values.items()}
        )


_NOT_IN_DIGEST = ("workers", "minutes", "checkpoint_seconds")
"""Names of options that may change when a training resumes; the digest ignores them."""
_FIELD_BY_PREFIX = {NETWORK_PREFIX: "network_options", AUGMENT_PREFIX: "augment"}
_TYPE_BY_NAME = {
    prefix + key: kind
    for prefix, struct in (("", TrainOptions), (AUGMENT_PREFIX, AugmentOptions))
    for key, kind in get_type_hints(struct, include_extras=True).items()
    if key in struct.__struct_fields__ and key not in _FIELD_BY_PREFIX.values()
}


def read_options(uri: str | None, changes: Sequence[str] = ()) -> TrainOptions:
    """Read the options of a file and apply changes to them.

    Args:
        uri: Path or S3 URI of a JSON or TOML file; None for the defaults.
        changes: Options that override the file's, each as `key=value`.

    Raises:
        InputError: The file cannot be read as options, or an option is unknown or not allowed.
    """
    values = _read_file(uri) if uri else {}
    try:
        options = TrainOptions.from_values(values)
    except InputError as error:
        raise InputError(f"{uri}: {error}") from None
    return options.replaced(dict(_split_change(change) for change in changes))


def read_values(uri: str) -> Any:
    """Return the content of a JSON file, or of a TOML file if its name ends in `.toml`.

    Args:
        uri: Path or S3 URI of the file.

    Raises:
        FileNotFoundError: There is no such file.
        InputError: The file has more than `MAX_OPTION_BYTES` bytes.
        ValueError: The file is neither JSON nor TOML, or is nested too deeply.
    """
    text = to_utf8(storage.read_bounded(uri, MAX_OPTION_BYTES)).decode()
    if Path(uri).suffix != ".toml":
        return parse_json(text)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _read_file(uri: str) -> Mapping[str, Any]:
    try:
        content = read_values(uri)
    except FileNotFoundError:
        raise InputError(f"the options file {uri} does not exist; check the address") from None
    except ValueError as error:
        raise InputError(
            f"{uri} is neither JSON nor TOML (with the suffix .toml): {error}; correct it"
        ) from None
    if not isinstance(content, dict):
        raise InputError(
            f'{uri} has a {type(content).__name__}; options are an object, such as {{"epochs": 20}}'
        )
    return content


def _split_change(change: str) -> tuple[str, str]:
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise InputError(f"{change!r} is not an option; write key=value")
    return key.strip(), text


def _flatten(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return options with nested ones under their prefixes, `network.` and `augment.`.

    In a TOML file, a table `[network.…]` would clash with `network`, the network's name. The
    nested tables are therefore named as the fields are: `network_options` and `augment`.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        prefix = next((p for p, field in _FIELD_BY_PREFIX.items() if field == key), None)
        if prefix is None:
            flat[key] = value
        elif isinstance(value, Mapping):
            flat |= {prefix + name: one for name, one in value.items()}
        else:
            raise InputError(f"{key} is {value!r}; it is an object of options")
    return flat


def _split_name(key: str) -> tuple[str | None, str]:
    """Return the field that a dotted name belongs to, and the name within that field."""
    for prefix, field in _FIELD_BY_PREFIX.items():
        if key.startswith(prefix):
            return field, key.removeprefix(prefix)
    return None, key


def _option_type(key: str) -> Any:
    """Return the type of an option, which is `Any` for the network's own options.

    Raises:
        InputError: There is no such option.
    """
    if key.startswith(NETWORK_PREFIX) and key != NETWORK_PREFIX:
        return Any
    if key in _TYPE_BY_NAME:
        return _TYPE_BY_NAME[key]
    near = difflib.get_close_matches(key, _TYPE_BY_NAME, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(
        f"there is no option {key!r}; {hint}The options are {', '.join(_TYPE_BY_NAME)} and "
        f"{NETWORK_PREFIX}<option>"
    )
