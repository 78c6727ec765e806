"""What a training may choose: read strictly from a file, from strings or from a command line."""

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
from swath.storage.encoding import parse_json, to_utf8
from swath.training.data.augment import AugmentOptions
from swath.training.option_values import parsed, typed

Positive = Annotated[int, Meta(ge=1)]
Count = Annotated[int, Meta(ge=0)]
Share = Annotated[float, Meta(ge=0, le=1)]
AboveZero = Annotated[float, Meta(gt=0)]
AtLeastZero = Annotated[float, Meta(ge=0)]
Name = Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9._-]{0,62}$")]
NetworkName = Literal["detector", "unet", "segformer", "rtdetrv2", "d-fine"]
Scalar = bool | int | float | str

MAX_OPTION_BYTES = 1 << 20
"""Bytes of a file of options or of a search."""

OF_NETWORK = "network."
"""Before the name of an option that is the network's own."""
OF_AUGMENTATION = "augment."
"""Before the name of an option of augmentation."""


class TrainOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How a model is made. Lengths are px of a scene; a step is one update of the weights."""

    name: Name = "model"
    """Of the model, in its package and in every row that it finds."""
    network: NetworkName = "detector"
    network_options: dict[str, Any] = {}
    """Of the network itself, see its class: given as `network.<option>`."""
    bands: tuple[str, ...] = ()
    """Which bands, in the model's order; by default those of the first scene."""
    tile_size: Annotated[int, Meta(ge=16, le=4096, multiple_of=16)] = 256
    """Of the tiles that the package is run on."""
    crop_size: Annotated[int, Meta(ge=0, le=4096, multiple_of=16)] = 0
    """Of the windows that are learnt from; 0: as large as tiles. Many small ones show more of the
    scenes a step than a few large ones."""
    overlap: Count = 64
    scaling: Literal["z-score", "min-max"] = "z-score"
    """By the mean and deviation of each band, or between its 1st and 99th percentile."""
    units: tuple[str, ...] = ()
    """Of the numbers that are learnt from, one for all bands or one for each, as in
    `reflectance,0.0001,-0.1`: quantity, scale, offset. By default those that the scenes state."""
    fill_value: float = 0.0
    """What stands for pixels that are not valid, in the scene's numbers."""

    epochs: Positive = 40
    crops: Positive = 512
    """Random windows an epoch."""
    batch_size: Positive = 8
    accumulate: Positive = 1
    """Batches a step."""
    learning_rate: AboveZero = 2e-3
    warm_up: Count = 50
    """Steps over which the learning rate rises; then it falls along a cosine."""
    final_learning_rate: Share = 0.01
    """Where the cosine ends, as a share of `learning_rate`."""
    weight_decay: AtLeastZero = 1e-2
    clip_norm: AboveZero = 10.0
    """The norm that gradients are clipped to."""
    ema_decay: Annotated[float, Meta(ge=0, lt=1)] = 0.998
    """Of the moving average of the weights, which is what is validated and exported."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """`auto` computes in bfloat16 on a GPU that has it, in float32 elsewhere."""
    channels_last: bool = True
    seed: Count = 0
    workers: Count = 0
    """Threads that cut crops; 0: as many as there are CPUs."""
    threads: Count = 0
    """Threads that share a CPU's arithmetic, 0: as many as there are CPUs. Another number rounds
    otherwise."""

    positives: Share = 0.7
    """The share of crops that are cut around an object."""
    class_weights: Literal["none", "balanced"] | tuple[AboveZero, ...] = "none"
    """How much the objects of each class count; `balanced`: as the root of how rare they are."""
    augment: AugmentOptions = AugmentOptions()
    """What may be done to a crop: given as `augment.<option>`."""
    hard_negatives: Share = 0.0
    """The share of crops that are cut where the model was sure of an object and there is none."""
    hard_negatives_from: Positive = 10
    """The epoch after which the training scenes are first searched for such places."""
    hard_negatives_every: Positive = 10
    """Epochs from one search to the next."""
    hard_negatives_score: Share = 0.3
    """How sure the model must be."""

    held_out: tuple[str, ...] = ()
    """File names of training scenes to validate on, where no collection is given for that."""
    validate_from: Positive = 1
    """The first epoch after which the model is validated."""
    validate_every: Positive = 1
    """Epochs from one validation to the next; there is one after the last epoch, too."""
    patience: Count = 0
    """After so many validations without a better one, training ends; 0: it does not."""
    keep: Literal["best", "last"] = "best"
    """Which weights are exported: those that did best in validation, or the last."""
    score_threshold: Share | None = None
    """From which score on a detection counts; by default, where F1 is highest in validation."""
    minutes: AboveZero | None = None
    """When training ends in good order, however many epochs are left."""
    checkpoint_seconds: AtLeastZero = 60.0
    """Between checkpoints; there is one after each validation, too."""

    def __post_init__(self) -> None:
        if self.overlap >= self.tile_size:
            raise ValueError(
                f"overlap is {self.overlap}; it must be less than tile_size, {self.tile_size}"
            )

    @property
    def crop_side(self) -> int:
        """Px along each side of what is learnt from."""
        return self.crop_size or self.tile_size

    @property
    def steps_per_epoch(self) -> int:
        """Updates of the weights; the last one of an epoch may see fewer crops."""
        return -(-self.crops // (self.batch_size * self.accumulate))

    @property
    def steps(self) -> int:
        """Of a whole training."""
        return self.epochs * self.steps_per_epoch

    @property
    def digest(self) -> str:
        """SHA-256, hex, of what the outcome depends on."""
        known = self.to_json()
        for name in _NO_MATTER:
            del known[name]
        return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()

    def to_json(self) -> dict[str, Any]:
        """The options as plain JSON types."""
        found: dict[str, Any] = parse_json(msgspec.json.encode(self))
        return found

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Self:
        """Read options, each of its own type.

        Args:
            values: by name; a network's own options stand under `network.<option>`, or together
                under `network_options`, and likewise those of `augment`.

        Raises:
            InputError: an option is not known or not possible; the message names it, its value and
                what is allowed.
        """
        return cls._of({key: typed(key, value, _type(key)) for key, value in _flat(values).items()})

    @classmethod
    def from_strings(cls, values: Mapping[str, str]) -> Self:
        """Read options as hyperparameters and command lines give them: all in strings.

        Lists are JSON, or parts between commas.

        Raises:
            InputError: as `from_values` raises it.
        """
        return cls._of({key: parsed(key, text, _type(key)) for key, text in values.items()})

    @classmethod
    def _of(cls, values: Mapping[str, Any]) -> Self:
        nested: dict[str, dict[str, Any]] = {"network_options": {}, "augment": {}}
        plain: dict[str, Any] = {}
        for key, value in values.items():
            owner, name = _owner(key)
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
        """These options but for some, given as strings.

        Raises:
            InputError: as `from_values` raises it.
        """
        known = _flat(self.to_json())
        return TrainOptions._of(
            {key: typed(key, value, _type(key)) for key, value in known.items()}
            | {key: parsed(key, text, _type(key)) for key, text in values.items()}
        )


_NO_MATTER = ("workers", "minutes", "checkpoint_seconds")
"""Options that say how a training is run, not what comes of it."""
_NESTED = {OF_NETWORK: "network_options", OF_AUGMENTATION: "augment"}
_TYPES = {
    prefix + key: kind
    for prefix, struct in (("", TrainOptions), (OF_AUGMENTATION, AugmentOptions))
    for key, kind in get_type_hints(struct, include_extras=True).items()
    if key in struct.__struct_fields__ and key not in _NESTED.values()
}


def read_options(uri: str | None, changes: Sequence[str] = ()) -> TrainOptions:
    """Options of a file, some of them changed.

    Args:
        uri: a JSON or TOML file, local or on S3; None for the defaults.
        changes: each `key=value`.

    Raises:
        InputError: the file is none, or an option is not possible.
    """
    values = _file(uri) if uri else {}
    try:
        options = TrainOptions.from_values(values)
    except InputError as error:
        raise InputError(f"{uri}: {error}") from None
    return options.replaced(dict(_pair(change) for change in changes))


def read_values(uri: str) -> Any:
    """Return what a JSON or TOML file says.

    Raises:
        FileNotFoundError: there is no such file.
        InputError: it has more bytes than `MAX_OPTION_BYTES`.
        ValueError: it is none of the two, or nested too deeply.
    """
    text = to_utf8(storage.read_bounded(uri, MAX_OPTION_BYTES)).decode()
    if Path(uri).suffix != ".toml":
        return parse_json(text)
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _file(uri: str) -> Mapping[str, Any]:
    try:
        found = read_values(uri)
    except FileNotFoundError:
        raise InputError(f"there is no file of options at {uri}; check the address") from None
    except ValueError as error:
        raise InputError(
            f"{uri} is neither JSON nor, named .toml, TOML: {error}; correct it"
        ) from None
    if not isinstance(found, dict):
        raise InputError(
            f'{uri} holds a {type(found).__name__}; options are an object, as {{"epochs": 20}}'
        )
    return found


def _pair(change: str) -> tuple[str, str]:
    key, equals, text = change.partition("=")
    if not equals or not key:
        raise InputError(f"{change!r} is no option; write key=value")
    return key.strip(), text


def _flat(values: Mapping[str, Any]) -> dict[str, Any]:
    """Options by their one name, those of the network and of augmentation under their prefix.

    A TOML table `[network.…]` would be an object where the network's name stands, so those tables
    are called `network_options` and `augment`, as the fields are.
    """
    flat: dict[str, Any] = {}
    for key, value in values.items():
        prefix = next((p for p, field in _NESTED.items() if field == key), None)
        if prefix is None:
            flat[key] = value
        elif isinstance(value, Mapping):
            flat |= {prefix + name: one for name, one in value.items()}
        else:
            raise InputError(f"{key} is {value!r}; it is an object of options")
    return flat


def _owner(key: str) -> tuple[str | None, str]:
    """The field that a dotted name belongs to, and its name there."""
    for prefix, field in _NESTED.items():
        if key.startswith(prefix):
            return field, key.removeprefix(prefix)
    return None, key


def _type(key: str) -> Any:
    """The type of an option; of the network's own, anything that JSON holds.

    Raises:
        InputError: there is no such option.
    """
    if key.startswith(OF_NETWORK) and key != OF_NETWORK:
        return Any
    if key in _TYPES:
        return _TYPES[key]
    near = difflib.get_close_matches(key, _TYPES, n=1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise InputError(
        f"there is no option {key!r}; {hint}There are {', '.join(_TYPES)} and {OF_NETWORK}<option>"
    )
