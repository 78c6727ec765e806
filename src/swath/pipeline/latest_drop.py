"""The note of a scene's latest drop, JSON in the work bucket: one of each scene and model."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Self

import msgspec

from swath import storage
from swath.errors import PayloadError
from swath.messages import Payload, RunRequest, SceneRef
from swath.messages.versions import Version, comparable

# A name has 80 characters, of which the run's id takes 36 and a hyphen one.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_NAMEABLE = re.compile("[0-9A-Za-z]{1,43}")


class LatestDrop(Payload, frozen=True, kw_only=True):
    """The latest drop of one scene for one model, and the run that it is served by."""

    request: RunRequest
    """Asks for that run, perhaps for an earlier drop of the same bytes."""
    execution: str
    """The name of the execution that does, or did, the run."""
    sequencer: str
    """S3's sequencer of the latest drop."""
    dropped_at: str

    @classmethod
    def of(cls, request: RunRequest, execution: str) -> Self:
        """Note that an execution is to be started for a drop."""
        return cls(
            request=request,
            execution=execution,
            sequencer=request.scene.sequencer,
            dropped_at=request.scene.dropped_at,
        )

    @property
    def version(self) -> Version:
        """The latest drop."""
        return Version.of(msgspec.structs.replace(self.request, scene=self._scene))

    @property
    def waits(self) -> bool:
        """Whether the latest drop waits for the run of an earlier one of the same bytes."""
        return not self.version.is_same_drop(Version.of(self.request))

    def followed_by(self, scene: SceneRef) -> Self:
        """Note that the same bytes were dropped again, and wait for the run."""
        return msgspec.structs.replace(self, sequencer=scene.sequencer, dropped_at=scene.dropped_at)

    def taken_up(self) -> Self:
        """Note that an execution is to be started for the drop that has waited."""
        request = msgspec.structs.replace(
            self.request, scene=self._scene, requested_at=datetime.now(UTC).isoformat()
        )
        return self.of(request, own_name(request))

    @property
    def _scene(self) -> SceneRef:
        return msgspec.structs.replace(
            self.request.scene, sequencer=self.sequencer, dropped_at=self.dropped_at
        )

    @staticmethod
    def uri_of(work_uri: str, request: RunRequest) -> str:
        """Return where the note of a request's scene and model lies."""
        names = json.dumps([request.scene.uri, request.model.name])
        name = hashlib.sha256(names.encode()).hexdigest()
        return storage.join(work_uri, "scenes", f"{name}.json")

    @classmethod
    def read(cls, uri: str) -> tuple[Self | None, str | None]:
        """Return the note and the ETag to replace it by; no note where it cannot be read."""
        try:
            data, etag = storage.read_with_etag(uri)
        except FileNotFoundError:
            return None, None
        try:
            return cls.from_json(json.loads(data)), etag
        except (ValueError, PayloadError):
            return None, etag

    def write(self, uri: str, etag: str | None) -> bool:
        """Write the note unless the one that is there is no longer that of the ETag."""
        return storage.write_if_unchanged(uri, msgspec.json.encode(self), etag) is not None


def own_name(request: RunRequest) -> str:
    """Return the name of the execution that one drop, and no other, may start."""
    drop = comparable(request.scene.sequencer)
    if not drop:
        drop = str(int(Version.of(request).dropped_at.timestamp()))
    if not _NAMEABLE.fullmatch(drop):
        drop = hashlib.sha256(drop.encode()).hexdigest()[:32]
    return f"{request.run_id}-{drop}"
