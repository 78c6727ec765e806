"""Read and write the note of a scene's latest drop: one JSON object for each scene and model."""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Self

import msgspec

from swath import storage
from swath.messages import RunRequest, SceneRef
from swath.messages.versions import SceneVersion, normalize_sequencer
from swath.pipeline.note import Note

# An execution's name may have 80 characters: 36 for the run's id, 1 for a hyphen, 43 for the drop.
# https://docs.aws.amazon.com/step-functions/latest/apireference/API_StartExecution.html
_VALID_NAME_PART = re.compile("[0-9A-Za-z]{1,43}")


class LatestDrop(Note, frozen=True, kw_only=True):
    """Latest drop of one scene for one model, and the latest run of the same bytes."""

    request: RunRequest
    """Request of the run, which may have been made for an earlier drop of the same bytes."""
    execution: str
    """Name of the run's execution."""
    sequencer: str
    """S3's sequencer of the latest drop."""
    dropped_at: str
    """Time of the latest drop, ISO 8601 UTC."""

    @classmethod
    def from_request(cls, request: RunRequest, execution: str) -> Self:
        """Return the note of a request's drop, before an execution is started for it."""
        return cls(
            request=request,
            execution=execution,
            sequencer=request.scene.sequencer,
            dropped_at=request.scene.dropped_at,
        )

    @property
    def version(self) -> SceneVersion:
        """Version of the latest drop."""
        return SceneVersion.from_request(msgspec.structs.replace(self.request, scene=self._scene))

    @property
    def is_waiting(self) -> bool:
        """Whether the latest drop waits for the run of an earlier one of the same bytes."""
        return not self.version.is_same_drop(SceneVersion.from_request(self.request))

    def with_later_drop(self, scene: SceneRef) -> Self:
        """Return the note with a later drop of the same bytes, which waits for the run's end."""
        return msgspec.structs.replace(self, sequencer=scene.sequencer, dropped_at=scene.dropped_at)

    def for_waiting_drop(self) -> Self:
        """Return the note of the waiting drop, before an execution is started for it."""
        request = msgspec.structs.replace(
            self.request, scene=self._scene, requested_at=datetime.now(UTC).isoformat()
        )
        return self.from_request(request, unique_execution_name(request))

    @property
    def _scene(self) -> SceneRef:
        return msgspec.structs.replace(
            self.request.scene, sequencer=self.sequencer, dropped_at=self.dropped_at
        )

    @staticmethod
    def note_uri(work_uri: str, request: RunRequest) -> str:
        """Return the address of the note for a request's scene and model.

        All versions of a scene share the note, whatever key they were dropped under.
        """
        names = json.dumps([request.scene.identity, request.model.name])
        name = hashlib.sha256(names.encode()).hexdigest()
        return storage.join(work_uri, "scenes", f"{name}.json")


def unique_execution_name(request: RunRequest) -> str:
    """Return an execution name that only this drop's execution can have."""
    drop = normalize_sequencer(request.scene.sequencer)
    if not drop:
        drop = str(int(SceneVersion.from_request(request).dropped_at.timestamp()))
    if not _VALID_NAME_PART.fullmatch(drop):
        drop = hashlib.sha256(drop.encode()).hexdigest()[:32]
    return f"{request.run_id}-{drop}"
