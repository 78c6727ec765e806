"""The messages between steps: frozen, small, and refused when they are not what they should be.

Nothing here grows with the scene: plans, shards and results are objects in the work bucket, and the
payloads carry their addresses. Every deployable imports this module, so it imports next to nothing.
"""

from __future__ import annotations

import hashlib
import json
import threading
import uuid
from enum import StrEnum
from typing import Any, Self, cast

import msgspec
from msgspec import UNSET, UnsetType

from swath.errors import PayloadError
from swath.settings import EndpointKind


class Backend(StrEnum):
    """A backend that infers the shards of a run."""

    AUTO = "auto"
    """The choice is the planner's."""
    LOCAL = "local"
    """The process that plans the run; no deployment has it."""
    LAMBDA = "lambda"
    BATCH = "batch"
    SAGEMAKER_REALTIME = "sagemaker-realtime"
    SAGEMAKER_ASYNC = "sagemaker-async"
    SAGEMAKER_SERVERLESS = "sagemaker-serverless"

    @property
    def endpoint_kind(self) -> EndpointKind | None:
        """The kind of SageMaker endpoint that infers the shards; None without an endpoint."""
        return _ENDPOINT_KINDS.get(self)


_ENDPOINT_KINDS = {
    Backend.SAGEMAKER_REALTIME: EndpointKind.REALTIME,
    Backend.SAGEMAKER_ASYNC: EndpointKind.ASYNC,
    Backend.SAGEMAKER_SERVERLESS: EndpointKind.SERVERLESS,
}

_resolving = threading.Lock()
# msgspec 0.22 works out a type when it first reads one, and crashes if two threads do so at once.


class Payload(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A message that travels as JSON."""

    def to_json(self) -> dict[str, Any]:
        """The message as plain JSON types, ready for Step Functions or a file."""
        return cast("dict[str, Any]", msgspec.to_builtins(self))

    @classmethod
    def from_json(cls, data: Any) -> Self:
        """Read a message.

        Raises:
            PayloadError: a field is missing, unknown, or of the wrong type; the message names it.
        """
        try:
            with _resolving:
                return msgspec.convert(data, cls)
        except (msgspec.ValidationError, UnicodeEncodeError) as error:
            # JSON can hold half of a surrogate pair, which is no text.
            raise PayloadError(f"{cls.__name__}: {error}") from None


class SceneRef(Payload, frozen=True, kw_only=True):
    """Which bytes to read: an S3 URI or local path, and the ETag that pins them."""

    uri: str
    etag: str
    dropped_at: str
    """ISO 8601 UTC."""
    sequencer: str = ""
    """S3's order of the writes to one key, hexadecimal; empty where no event told of the scene."""


class ModelRef(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """A deployed model package. `uri` and `digest` are empty when no model has that name."""

    name: str
    uri: str
    digest: str
    deployed: list[str] = []
    """Where no model has that name: the names of those that there are, or of the first of many."""


class RunOptions(Payload, frozen=True, kw_only=True):
    """What a run may choose beside its scene and its model."""

    backend: Backend = Backend.AUTO
    tolerated_failures: float = 0.0
    """The share of planned tiles, 0 to 1, that may fail before the run does."""
    score_threshold: float | UnsetType = UNSET
    """The lowest score that is reported, 0 to 1, where it is not the model package's own. JSON
    names it only where it is set, so that other versions of swath read the options otherwise."""

    def __post_init__(self) -> None:
        if not 0 <= self.tolerated_failures <= 1:
            raise ValueError(f"{self.tolerated_failures} tolerated failures; a share is 0 to 1")
        if self.score_threshold is not UNSET and not 0 <= self.score_threshold <= 1:
            raise ValueError(f"a score threshold of {self.score_threshold}; a score is 0 to 1")


class RunRequest(Payload, frozen=True, kw_only=True):
    """One scene through one model with one set of options: the input of an execution."""

    run_id: str
    scene: SceneRef
    model: ModelRef
    options: RunOptions
    requested_at: str = ""
    """ISO 8601 UTC: `swath.messages.versions` says what for.

    Empty in requests of earlier versions.
    """

    @classmethod
    def new(
        cls, *, scene: SceneRef, model: ModelRef, options: RunOptions, requested_at: str = ""
    ) -> Self:
        """A request whose `run_id` follows from the rest: the same work has the same name."""
        return cls(
            run_id=run_id(scene=scene, model=model, options=options),
            scene=scene,
            model=model,
            options=options,
            requested_at=requested_at,
        )


PLAN_VERSION = 4
"""The form of `swath.pipeline.plan.Plan`; each change that other versions cannot read adds one."""


def is_readable_plan(data: Any) -> bool:
    """Tell whether this version of swath can read a plan, given as parsed JSON."""
    return isinstance(data, dict) and data.get("version") == PLAN_VERSION


class Georeference(Payload, frozen=True, kw_only=True):
    """A scene's place on Earth, from its header; every float survives JSON unchanged."""

    crs: str
    """WKT; empty where the header names none."""
    transform: tuple[float, float, float, float, float, float] | None
    """The affine transform a, b, c, d, e, f from scene px to the CRS; None where there is none."""
    gcps: list[tuple[float, float, float, float, float]] = []
    """Ground control points: column and row in scene px; x, y and z in the CRS."""


class PlanSummary(Payload, frozen=True, kw_only=True):
    """What the state machine needs of a plan."""

    uri: str
    backend: Backend
    shards: int
    tiles: int


class ShardRequest(Payload, frozen=True, kw_only=True):
    """One shard of a plan, as an endpoint is asked for it."""

    plan_uri: str
    index: int
    task_token: str = ""
    """Of the state that waits for the shard; of no use to who infers it."""


class TileCounts(Payload, frozen=True, kw_only=True):
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


class TileFailure(Payload, frozen=True, kw_only=True):
    """Why one tile gave nothing. `column` and `row` are pixels of its upper left corner."""

    tile: int
    column: int
    row: int
    cause: str


class JobFailure(Payload, frozen=True, kw_only=True):
    """The error that a failing Batch job leaves in the work bucket: Batch keeps its exit code."""

    error: str
    """The name of its class."""
    cause: str
    exit_code: int


class Engine(Payload, frozen=True, kw_only=True):
    """The device and the library that compute a model's answers."""

    device: str
    """NVIDIA's name of the GPU, or `cpu`."""
    driver: str = ""
    """The version of NVIDIA's driver; empty on a CPU."""
    runtime: str
    """As `swath.models.runtimes.base.Runtime` names it."""
    weights: str
    """The format of the file."""
    precision: str = "float32"
    fallbacks: list[str] = []
    """What was tried before it and did not work, and why."""


class Receipt(Payload, frozen=True, kw_only=True):
    """Written after a shard's Parquet file: the shard is done, and this is what became of it."""

    run_id: str
    index: int
    layout: str
    """`Plan.layout` of the plan whose shard it is."""
    tiles: TileCounts
    detections: int
    """In its file, settled."""
    seams: int = 0
    """In a file of their own: those that other shards have a say in."""
    seconds: float
    failures: list[TileFailure] = []
    """The first few failures; `tiles.failed` counts them all."""
    engine: Engine | None = None
    """What computed it; None where nothing was computed, or by an earlier version of swath."""
    samples: int = 0
    """In a file of their own: sampled px, for the statistics of the run's bands."""
    pixels_per_second: float = 0.0
    """Scene pixels of the tiles that this attempt inferred, by its seconds of inference."""
    warnings: list[str] = []
    """Sentences for the user: the shard is done, and something about it looks wrong."""
    files: dict[str, str] = {}
    """SHA-256 of each file of the shard by its name; none in receipts of earlier versions."""


class Checkpoint(Payload, frozen=True, kw_only=True):
    """Written after the files that an interrupted shard leaves."""

    layout: str
    """`Plan.layout`: progress in another plan's shard is none in this one's."""
    files: dict[str, str]
    """SHA-256 of each, by the file's name."""


class MergeSummary(Payload, frozen=True, kw_only=True):
    """What the merge found. `uri` is the run's GeoParquet file in the work bucket."""

    uri: str
    detections: int
    tiles: TileCounts
    mask_uri: str = ""
    """The run's mask, GeoTIFF; empty where the model package asks for none."""
    warnings: list[str] = []
    """Sentences for the user, from `swath.messages.run_warnings`, about what looks wrong."""
    etag: str = ""
    """Of the GeoParquet file as the merge wrote it; empty in summaries of earlier versions."""
    mask_etag: str = ""
    """Of the mask, likewise."""


class MergedRun(Payload, frozen=True, kw_only=True):
    """A run whose detections are ready to be loaded and published."""

    request: RunRequest
    plan: PlanSummary
    merge: MergeSummary


class LoadSummary(Payload, frozen=True, kw_only=True):
    """What the load did. `superseded` when a newer version of the scene was there already."""

    rows: int
    superseded: bool


class PublishSummary(Payload, frozen=True, kw_only=True):
    """Where the results are for other programs to find."""

    detections_uri: str
    item_uri: str
    mask_uri: str = ""


def run_id(*, scene: SceneRef, model: ModelRef, options: RunOptions) -> str:
    """The name of a run, as a UUID (version 8, RFC 9562) of what determines its result.

    What tells one drop from another is left out, time and sequencer: the same bytes under the same
    key are the same work. So is the backend, which does not change a detection.
    """
    parts: list[Any] = [scene.uri, scene.etag, model.name, model.digest, options.tolerated_failures]
    if options.score_threshold is not UNSET:
        parts.append(float(options.score_threshold))
    digest = bytearray(hashlib.sha256(json.dumps(parts).encode()).digest()[:16])
    digest[6] = 0x80 | (digest[6] & 0x0F)
    digest[8] = 0x80 | (digest[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(digest)))
