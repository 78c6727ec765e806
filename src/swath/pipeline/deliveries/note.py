"""Read and write the note of a delivery, and the list of deliveries to check at a time.

The objects lie below `deliveries/` in the work bucket. `notes/<hash>.json` is the note of one
folder. `due/<time>/<hash>.json` says that the note is to be checked at that time; such an object is
never deleted, and expires. So a check lists only the deliveries that are due, and needs no
permission to delete.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import msgspec

from swath import storage
from swath.pipeline.note import Note

DUE_STEP = timedelta(minutes=15)
"""Interval of the checks; times of checks are rounded up to it."""
_TIME_FORMAT = "%Y-%m-%dT%H:%M"


class DeliveryNote(Note, frozen=True, kw_only=True, omit_defaults=True):
    """State of a delivery."""

    folder: str
    """S3 URI of the folder, without a slash at its end."""
    model: str = ""
    """Name of the model; empty for the default model."""
    opened_at: str
    """Time of the first event since the delivery was last complete, ISO 8601 UTC."""
    is_open: bool = True
    """Whether parts are missing, or a new version has not been run yet."""
    manifest: str = ""
    """Path of the manifest; empty until it is there."""
    watched: str = ""
    """Path of one missing part, whose event causes the next listing of the folder."""
    marker: str = ""
    """S3 URI of the marker; empty if there is none."""
    started: dict[str, str] = msgspec.field(default_factory=dict)
    """ETag of each file of the version that was run last, by path."""
    is_reported: bool = False
    """Whether it was reported that the delivery is incomplete."""


def note_uri(work_uri: str, folder: str) -> str:
    """Return the address of the note of a delivery.

    Args:
        work_uri: Work bucket or folder.
        folder: S3 URI of the delivery's folder, without a slash at its end.
    """
    return storage.join(work_uri, "deliveries/notes", f"{_name(folder)}.json")


def due_folder(work_uri: str) -> str:
    """Return the folder of the list of deliveries to check."""
    return storage.join(work_uri, "deliveries/due")


def mark_due(work_uri: str, folder: str, due: datetime) -> None:
    """Have a delivery checked at a time, or up to `DUE_STEP` later.

    Args:
        work_uri: Work bucket or folder.
        folder: S3 URI of the delivery's folder.
        due: Time of the check in UTC.
    """
    steps = -(-(due - _EPOCH) // DUE_STEP)
    time = (_EPOCH + steps * DUE_STEP).strftime(_TIME_FORMAT)
    storage.write_json(
        storage.join(due_folder(work_uri), time, f"{_name(folder)}.json"), {"folder": folder}
    )


def last_due(now: datetime) -> str:
    """Return the path in the list that sorts after those due by a time, and before later ones."""
    return f"{now.strftime(_TIME_FORMAT)}/~"


def _name(folder: str) -> str:
    return hashlib.sha256(folder.encode()).hexdigest()


_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
