"""The order of the versions of a scene: which drop of it is the later one.

The rows in the database are to be those of the object that is in the bucket, found by the package
that is deployed, whatever the order of events, executions and loads. S3 numbers the writes to a
key: of two events of one key the one with the greater `sequencer` tells of the later write. Its
times say less, being cut to whole seconds. So

* two drops that have sequencers are ordered by these alone;
* where one has none (`swath run`, hand-made events, rows before migration 0004), by when the
  scenes were dropped; for a local run that is when it began;
* where these tie, by when the runs were requested: one drop can be handled twice, with a
  deployment of another package in between, if `start_run`'s note of it was lost.

Who uses it:

* `swath.pipeline.start` notes the latest drop of each scene and model before it starts a run. An
  event of a drop that is noted already, or of an earlier one, starts nothing more. A noted drop
  that is later than the one that its run was started for waits for that run's end.
* `swath.database.load` loads a run unless a later one is loaded. Only runs of the same scene and
  the same model name are compared, and only with a run whose rows are there: what has failed, has
  been replaced or is another model's stands in nobody's way.
* A run keeps the latest of its drops: an old execution that is redriven by hand does not make its
  rows older than they are.

Deleting a scene deletes no rows, and is no version: its next drop is later than all before.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from swath.messages import RunRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One drop of a scene, as far as its order among others is concerned."""

    sequencer: str
    """In the form that `comparable` gives; empty where there is none."""
    dropped_at: datetime
    requested_at: datetime

    @classmethod
    def of(cls, request: RunRequest) -> Self:
        """Return the drop that a run was requested for."""
        dropped_at = _moment(request.scene.dropped_at)
        requested_at = _moment(request.requested_at) if request.requested_at else dropped_at
        return cls(
            sequencer=comparable(request.scene.sequencer),
            dropped_at=dropped_at,
            requested_at=requested_at,
        )

    def is_later_than(self, other: Version) -> bool:
        """Return whether this drop came after the other one; False for one and the same."""
        if self.sequencer and other.sequencer:
            if self.sequencer != other.sequencer:
                return self.sequencer > other.sequencer
        elif self.dropped_at != other.dropped_at:
            return self.dropped_at > other.dropped_at
        return self.requested_at > other.requested_at

    def is_same_drop(self, other: Version) -> bool:
        """Return whether both are the same write to the key, whenever runs were requested."""
        if self.sequencer and other.sequencer:
            return self.sequencer == other.sequencer
        return self.dropped_at == other.dropped_at

    def latest(self, other: Version) -> Version:
        """Return the later of two drops of the same bytes, field by field."""
        return Version(
            sequencer=max(self.sequencer, other.sequencer),
            dropped_at=max(self.dropped_at, other.dropped_at),
            requested_at=max(self.requested_at, other.requested_at),
        )


def comparable(sequencer: str) -> str:
    """Return a sequencer in the form whose order as a string is the order of writes.

    AWS: pad the shorter one with zeros on the right, then compare as strings. Without the zeros on
    the right that is the order of strings.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/notification-content-structure.html
    """
    return sequencer.upper().rstrip("0")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
