"""The messages between steps: frozen, small, and refused when they are not what they should be.

Nothing here grows with the scene: plans, shards and results are objects in the work bucket, and the
payloads carry their addresses. Standard library only, since every deployable imports it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import types
import typing
import uuid
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from swath.errors import PayloadError

Backend = Literal["auto", "local", "lambda", "batch"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """A message that travels as JSON."""

    def to_json(self) -> dict[str, Any]:
        """The message as plain JSON types, ready for Step Functions or a file."""
        return json.loads(json.dumps(dataclasses.asdict(self)))  # type: ignore[no-any-return]

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read a message.

        Raises:
            PayloadError: a field is missing, unknown, or of the wrong type; the message names it.
        """
        return typing.cast("Self", _read(cls, data, cls.__name__))


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneRef(Payload):
    """Which bytes to read: an S3 URI or local path, and the ETag (or content hash) that pins them."""

    uri: str
    etag: str
    dropped_at: str
    """ISO 8601 UTC; orders two versions of the object under one key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRef(Payload):
    """A deployed model package. `uri` and `digest` are empty when no model has that name."""

    name: str
    uri: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions(Payload):
    """What a run may choose beside its scene and its model."""

    backend: Backend = "auto"
    tolerated_failures: float = 0.0
    """The share of planned tiles, 0 to 1, that may fail before the run does."""

    def __post_init__(self) -> None:
        if not 0 <= self.tolerated_failures <= 1:
            raise PayloadError(
                f"tolerated_failures is {self.tolerated_failures}; it is a share, from 0 to 1"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRequest(Payload):
    """One scene through one model with one set of options: the input of an execution."""

    run_id: str
    scene: SceneRef
    model: ModelRef
    options: RunOptions

    @classmethod
    def new(cls, *, scene: SceneRef, model: ModelRef, options: RunOptions) -> Self:
        """A request whose `run_id` follows from the rest: the same work has the same name."""
        return cls(
            run_id=run_id(scene=scene, model=model, options=options),
            scene=scene,
            model=model,
            options=options,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanSummary(Payload):
    """What the state machine needs of a plan."""

    uri: str
    backend: Backend
    shards: int
    tiles: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TileCounts(Payload):
    """What became of the planned tiles; the three others add up to `planned`."""

    planned: int = 0
    succeeded: int = 0
    failed: int = 0
    skipped: int = 0

    def __add__(self, other: TileCounts) -> TileCounts:
        return TileCounts(
            planned=self.planned + other.planned,
            succeeded=self.succeeded + other.succeeded,
            failed=self.failed + other.failed,
            skipped=self.skipped + other.skipped,
        )

    @property
    def complete(self) -> bool:
        """Whether every planned tile is accounted for."""
        return self.succeeded + self.failed + self.skipped == self.planned


@dataclass(frozen=True, slots=True, kw_only=True)
class TileFailure(Payload):
    """Why one tile gave nothing. `column` and `row` are pixels of its upper left corner."""

    tile: int
    column: int
    row: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Payload):
    """Written after a shard's Parquet file: the shard is done, and this is what became of it."""

    run_id: str
    index: int
    tiles: TileCounts
    detections: int
    seconds: float
    failures: list[TileFailure] = field(default_factory=list)
    """The first few failures; `tiles.failed` counts them all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeSummary(Payload):
    """What the merge found. `uri` is the run's GeoParquet file in the work bucket."""

    uri: str
    detections: int
    tiles: TileCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSummary(Payload):
    """What the load did. `superseded` when a newer version of the scene was there already."""

    rows: int
    superseded: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishSummary(Payload):
    """Where the results are for other programs to find."""

    detections_uri: str
    item_uri: str


def run_id(*, scene: SceneRef, model: ModelRef, options: RunOptions) -> str:
    """The name of a run, as a UUID (version 8, RFC 9562) of what determines its result.

    The time of the drop is left out: the same bytes under the same key are the same work. So is the
    backend, which does not change a detection.
    """
    parts = [scene.uri, scene.etag, model.name, model.digest, options.tolerated_failures]
    digest = bytearray(hashlib.sha256(json.dumps(parts).encode()).digest()[:16])
    digest[6] = 0x80 | (digest[6] & 0x0F)
    digest[8] = 0x80 | (digest[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(digest)))


def _read(kind: Any, data: Any, where: str) -> Any:
    """`data` as an instance of `kind`, or a PayloadError that says where it is not one."""
    if dataclasses.is_dataclass(kind):
        return _read_dataclass(typing.cast("type[Any]", kind), data, where)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        if data not in arguments:
            raise PayloadError(f"{where} is {data!r}; expected one of {', '.join(arguments)}")
        return data
    if origin in {list, tuple}:
        if not isinstance(data, list):
            raise PayloadError(f"{where} is {data!r}; expected a list")
        if origin is tuple and arguments[-1] is not Ellipsis and len(arguments) != len(data):
            raise PayloadError(f"{where} has {len(data)} items; expected {len(arguments)}")
        kinds = arguments if origin is tuple and arguments[-1] is not Ellipsis else None
        items = [
            _read(kinds[i] if kinds else arguments[0], item, f"{where}[{i}]")
            for i, item in enumerate(data)
        ]
        return origin(items)
    if origin in {types.UnionType, typing.Union}:
        if data is None:
            return None
        return _read(next(a for a in arguments if a is not type(None)), data, where)
    if origin is dict:
        if not isinstance(data, dict):
            raise PayloadError(f"{where} is {data!r}; expected an object")
        return data
    return _read_scalar(kind, data, where)


def _read_dataclass(kind: type[Any], data: Any, where: str) -> Any:
    if not isinstance(data, dict):
        raise PayloadError(f"{where} is {data!r}; expected an object")
    hints = typing.get_type_hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    if unknown := data.keys() - fields.keys():
        raise PayloadError(f"{where} has unknown fields: {', '.join(sorted(map(str, unknown)))}")
    missing = [
        name
        for name, f in fields.items()
        if name not in data
        and f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
    ]
    if missing:
        raise PayloadError(f"{where} lacks: {', '.join(missing)}")
    return kind(**{k: _read(hints[k], v, f"{where}.{k}") for k, v in data.items()})


def _read_scalar(kind: Any, data: Any, where: str) -> Any:
    if kind is Any:
        return data
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise PayloadError(f"{where} is {data!r}; expected {kind.__name__}")
    return data
