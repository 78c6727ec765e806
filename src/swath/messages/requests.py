"""What a run is asked for: the scene, the model, the options, and the name that follows."""

from __future__ import annotations

import hashlib
import json
import uuid
from enum import StrEnum
from typing import Any, Self

from msgspec import UNSET, UnsetType

from swath.messages.payload import Payload
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
