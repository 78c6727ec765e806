"""Define the request for a run (scene, model, options), and derive the run's id from it."""

from __future__ import annotations

import hashlib
import json
import uuid
from enum import StrEnum
from typing import Any, Self

from msgspec import UNSET, UnsetType

from swath.messages.payload import Payload
from swath.settings import EndpointKind

_DOCUMENT_SUFFIXES = (".json", ".geojson")


def is_document(uri: str) -> bool:
    """Return whether an address is that of a document that names the files of a scene."""
    return uri.lower().endswith(_DOCUMENT_SUFFIXES)


class Backend(StrEnum):
    """Backend that infers the shards of a run."""

    AUTO = "auto"
    """The planner chooses the backend."""
    LOCAL = "local"
    """The process that planned the run also infers the shards; no deployment has this backend."""
    LAMBDA = "lambda"
    BATCH = "batch"
    SAGEMAKER_REALTIME = "sagemaker-realtime"
    SAGEMAKER_ASYNC = "sagemaker-async"
    SAGEMAKER_SERVERLESS = "sagemaker-serverless"

    @property
    def endpoint_kind(self) -> EndpointKind | None:
        """Kind of the SageMaker endpoint that infers the shards; None for other backends."""
        return _ENDPOINT_KINDS.get(self)


_ENDPOINT_KINDS = {
    Backend.SAGEMAKER_REALTIME: EndpointKind.REALTIME,
    Backend.SAGEMAKER_ASYNC: EndpointKind.ASYNC,
    Backend.SAGEMAKER_SERVERLESS: EndpointKind.SERVERLESS,
}


class SceneRef(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Address of a scene, with the ETag that pins its bytes.

    A scene is one raster file, or a document that names the files of the scene: a STAC Item, a list
    of files, or the manifest of a delivery.
    """

    uri: str
    """S3 URI or local path of the file or document."""
    etag: str
    """ETag of the file or document."""
    dropped_at: str
    """Time of the drop, ISO 8601 UTC; for a local run, the time at which the run began."""
    sequencer: str = ""
    """S3's order of the writes to one key, hexadecimal; empty if no S3 event caused the run."""
    scene_id: str = ""
    """Collection and id of a STAC Item, `collection/id`; empty for a scene that has neither."""
    acquired_at: str = ""
    """Time of acquisition that the user gave, ISO 8601 UTC; empty if the metadata decide."""
    assets: str = ""
    """Digest of the ETags of the files that a document names; empty for a raster file."""

    @property
    def identity(self) -> str:
        """Identity of the scene: two scenes with the same identity are versions of one scene."""
        return self.scene_id or self.uri


class ModelRef(Payload, frozen=True, kw_only=True, omit_defaults=True):
    """Reference to a model package; `uri` and `digest` are empty if no model has the name."""

    name: str
    uri: str
    digest: str
    deployed: list[str] = []
    """Names of the deployed models, or the first of many; only if no model has the name."""


class RunOptions(Payload, frozen=True, kw_only=True):
    """Options of a run beside its scene and its model."""

    backend: Backend = Backend.AUTO
    tolerated_failures: float = 0.0
    """Maximum fraction of planned tiles, 0 to 1, that may fail without failing the run."""
    score_threshold: float | UnsetType = UNSET
    """Minimum score of reported detections, 0 to 1; the model package's own if unset.

    JSON contains the field only if it is set, so that other versions of swath can read options
    without it.
    """

    def __post_init__(self) -> None:
        if not 0 <= self.tolerated_failures <= 1:
            raise ValueError(
                f"tolerated_failures is {self.tolerated_failures}; it must be from 0 to 1"
            )
        if self.score_threshold is not UNSET and not 0 <= self.score_threshold <= 1:
            raise ValueError(f"score_threshold is {self.score_threshold}; it must be from 0 to 1")


class RunRequest(Payload, frozen=True, kw_only=True):
    """Request to run one model over one scene with given options: the input of an execution."""

    run_id: str
    scene: SceneRef
    model: ModelRef
    options: RunOptions
    requested_at: str = ""
    """Time of the request, ISO 8601 UTC; empty in requests of earlier versions of swath.

    `swath.messages.versions` orders drops by it if nothing else decides.
    """

    @classmethod
    def new(
        cls, *, scene: SceneRef, model: ModelRef, options: RunOptions, requested_at: str = ""
    ) -> Self:
        """Create a request and derive its `run_id`; the same work has the same id."""
        return cls(
            run_id=derive_run_id(scene=scene, model=model, options=options),
            scene=scene,
            model=model,
            options=options,
            requested_at=requested_at,
        )


def derive_run_id(*, scene: SceneRef, model: ModelRef, options: RunOptions) -> str:
    """Return the id of a run: a UUID (version 8, RFC 9562) hashed from all that affects its result.

    Time and sequencer of the drop do not count: the same bytes under the same key are the same
    work. The backend does not count either, since it does not change any detection.
    """
    parts: list[Any] = [scene.uri, scene.etag, model.name, model.digest, options.tolerated_failures]
    if options.score_threshold is not UNSET:
        parts.append(float(options.score_threshold))
    if scene.assets:
        parts.append(["assets", scene.assets])
    digest = bytearray(hashlib.sha256(json.dumps(parts).encode()).digest()[:16])
    digest[6] = 0x80 | (digest[6] & 0x0F)
    digest[8] = 0x80 | (digest[8] & 0x3F)
    return str(uuid.UUID(bytes=bytes(digest)))
