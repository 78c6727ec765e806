"""Check deliveries that are due: report those that are still incomplete, each of them once.

The check also starts what is complete: the new version of a delivery whose files have not changed
for a while, and a delivery of which an event was lost.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import msgspec

from swath import storage
from swath.errors import PayloadError
from swath.messages import Payload
from swath.pipeline.deliveries.note import DeliveryNote, due_folder, last_due, mark_due
from swath.pipeline.deliveries.start import DeliveryStarter
from swath.settings import StartRunSettings

MAX_CHECKS = 2000
"""Maximum number of deliveries for one call; the next call continues with the others."""
_CHECKS_PER_CURSOR = 50
"""Number of checks after which their progress is written."""

Publish = Callable[[dict[str, Any]], None]
"""Function that publishes a message, of JSON types, to the topic of failures."""


class WatchSummary(Payload, frozen=True, kw_only=True):
    """Result of one check of the deliveries that were due."""

    checked: int = 0
    """Number of open deliveries that were checked."""
    started: int = 0
    """Number of deliveries whose run was started."""
    reported: int = 0
    """Number of deliveries that were reported as incomplete."""


class _Cursor(Payload, frozen=True, kw_only=True):
    """Progress through the list of deliveries that are due."""

    after: str = ""
    """Path of the last entry that was checked."""


def watch_deliveries(starter: DeliveryStarter, publish: Publish) -> WatchSummary:
    """Check the deliveries that have become due since the last call.

    Args:
        starter: Starter of deliveries, with the time of the check.
        publish: Function that publishes a report.

    Raises:
        botocore.exceptions.ClientError: AWS refused a request; the caller should retry.
        TransientError: S3 failed, and a retry can succeed.
    """
    work_uri = starter.settings.work_uri
    cursor_uri = storage.join(work_uri, "deliveries/watched.json")
    cursor, until = _read_cursor(cursor_uri), last_due(starter.now)
    outcomes: list[str] = []
    for number, (path, _) in enumerate(
        storage.iterate_objects(due_folder(work_uri), after=cursor), 1
    ):
        if path > until or number > MAX_CHECKS:
            break
        name = path.rpartition("/")[2]
        outcomes.append(_check(storage.join(work_uri, "deliveries/notes", name), starter, publish))
        cursor = path
        if number % _CHECKS_PER_CURSOR == 0:
            storage.write_json(cursor_uri, _Cursor(after=cursor).to_json())
    if outcomes:
        storage.write_json(cursor_uri, _Cursor(after=cursor).to_json())
    return WatchSummary(
        checked=len(outcomes) - outcomes.count(""),
        started=outcomes.count("started"),
        reported=outcomes.count("reported"),
    )


def _check(uri: str, starter: DeliveryStarter, publish: Publish) -> str:
    """Check one delivery; return the outcome, which is empty if the delivery is not open."""
    note, etag = DeliveryNote.read(uri)
    if note is None or not note.is_open:
        return ""
    summary = starter.check(note, uri, etag)
    if summary is None or summary.outcome != "waiting":
        # Without an outcome, another handler is at work, and its own check follows.
        return summary.outcome if summary else "waiting"
    note, etag = DeliveryNote.read(uri)
    if note is None or not note.is_open or note.is_reported:
        return "waiting"
    limit = timedelta(hours=starter.settings.delivery_hours)
    due = datetime.fromisoformat(note.opened_at) + limit
    if starter.now < due:
        mark_due(starter.settings.work_uri, note.folder, due)
        return "waiting"
    publish(_report(note, summary.reason, starter.settings))
    msgspec.structs.replace(note, is_reported=True).write(uri, etag)
    return "reported"


def _report(note: DeliveryNote, reason: str, settings: StartRunSettings) -> dict[str, Any]:
    name = note.folder.rpartition("/")[2]
    return {
        "message": (
            f"A delivery to swath is incomplete after {settings.delivery_hours:g} h: {reason}. "
            f"Upload the rest, or an empty object {name}.done beside the folder to run what is "
            "there."
        ),
        "delivery": f"{note.folder}/",
        "reason": reason,
        "opened_at": note.opened_at,
    }


def _read_cursor(uri: str) -> str:
    try:
        return _Cursor.from_json(storage.read_json(uri)).after
    except (FileNotFoundError, ValueError, PayloadError):
        return ""
