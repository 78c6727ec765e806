"""Order the versions of a scene: decide which of two drops is the later one.

The database must hold the detections of the object that is now in the bucket, by the package that
is now deployed. The order of events, executions and loads must not matter. S3 numbers the writes to
a key: of two events of one key, the one with the greater `sequencer` reports the later write. S3's
times are less exact, since they are truncated to whole seconds. Two STAC Items with the same
collection and id are versions of one scene even if they are objects of two keys, whose sequencers
cannot be compared. Therefore drops are ordered

* by sequencer alone, if both have one and report writes to the same key;
* by time of the drop, if one has no sequencer (`swath run`, hand-made events, rows before migration
  0004) or the keys differ; a local run's time of the drop is the time at which it began;
* by time of the request, if these times are equal. If `start_run`'s note of a drop was lost, the
  drop can be handled twice, with a deployment of another package in between.

The order is used as follows:

* `swath.pipeline.start` notes the latest drop of each scene and model before it starts a run. An
  event of a drop that is already noted, or of an earlier one, starts no further run. If the noted
  drop is later than the drop that its run was started for, it waits until that run ends.
* `swath.database.load` loads a run unless a later one is loaded. It compares only runs of the same
  scene and model name, and only with a run whose rows are in the database. Runs that failed, were
  replaced or belong to another model do not count.
* A run keeps the latest of its drops: an old execution that is redriven by hand does not make its
  rows older.

Deleting a scene deletes no rows and is not a version: the next drop is later than all before it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from swath.messages import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneVersion:
    """Order of one drop of a scene among others."""

    uri: str
    """Address of the dropped object or file."""
    sequencer: str
    """Sequencer in the form that `normalize_sequencer` returns; empty if there is none."""
    dropped_at: datetime
    """Time of the drop."""
    requested_at: datetime
    """Time of the request."""

    @classmethod
    def from_request(cls, request: RunRequest) -> Self:
        """Return the version of the drop for which a run was requested."""
        dropped_at = _parse_time(request.scene.dropped_at)
        requested_at = _parse_time(request.requested_at) if request.requested_at else dropped_at
        return cls(
            uri=request.scene.uri,
            sequencer=normalize_sequencer(request.scene.sequencer),
            dropped_at=dropped_at,
            requested_at=requested_at,
        )

    def is_later_than(self, other: SceneVersion) -> bool:
        """Return whether this drop came after the other one; False if both are the same."""
        if self._is_numbered_with(other):
            if self.sequencer != other.sequencer:
                return self.sequencer > other.sequencer
        elif self.dropped_at != other.dropped_at:
            return self.dropped_at > other.dropped_at
        return self.requested_at > other.requested_at

    def is_same_drop(self, other: SceneVersion) -> bool:
        """Return whether both drops are the same write to the key; request times do not count."""
        if self._is_numbered_with(other):
            return self.sequencer == other.sequencer
        return self.uri == other.uri and self.dropped_at == other.dropped_at

    def merge_with(self, other: SceneVersion) -> SceneVersion:
        """Return the field-by-field maximum of two drops of the same bytes."""
        return SceneVersion(
            uri=self.uri,
            sequencer=max(self.sequencer, other.sequencer),
            dropped_at=max(self.dropped_at, other.dropped_at),
            requested_at=max(self.requested_at, other.requested_at),
        )

    def _is_numbered_with(self, other: SceneVersion) -> bool:
        """Return whether S3 has numbered both drops as writes to one key."""
        return bool(self.sequencer and other.sequencer) and self.uri == other.uri


def normalize_sequencer(sequencer: str) -> str:
    """Return a sequencer in a form whose string order is the order of the writes.

    AWS says: pad the shorter sequencer with zeros on the right, then compare as strings. Stripping
    the zeros on the right gives the same order.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return sequencer.upper().rstrip("0")


def _parse_time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
