"""Start the run of a delivery exactly once, when its last part is there.

The events of the parts arrive in any order, repeatedly and at once. Nothing counts them: the folder
itself says what is there. For each delivery a note in the work bucket is written under the
condition of its ETag, so handlers take turns.

To list the folder at each event would cost more than to upload the parts. So the note names one
missing part, the watched one, and only its event causes a listing. If parts arrive in random order,
the watched part is a random one of those that are missing, and each listing halves them. For a
delivery of 120 parts, 7 listings were counted, and 4 if ten parts at a time arrive in the order of
their names. The other events read the note, and no more.

No part is overlooked:

* The event of a manifest or marker always causes a listing.
* The watched part is looked up after the note that names it was written. If it is there by then,
  the folder is listed again; if not, its event meets the note.
* The folder is listed once more after the note says that the delivery is complete. A part that was
  replaced before that was perhaps ignored; a later event meets the note.
* `swath.pipeline.deliveries.watch` lists each delivery that is not complete after some time.

A part that is replaced after the run began makes a new version. It is run when no file has been
written for `SETTLING_TIME`, since a manifest without sizes does not show when the last part was
replaced; or at once, by a new marker. `swath.pipeline.start` decides whether a version needs a run.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import msgspec

from swath import storage
from swath.errors import TransientError
from swath.items.deliveries import manifest_kind
from swath.messages import RunRequest
from swath.models.catalog import Catalog, choose_model
from swath.pipeline.deliveries.contents import Contents
from swath.pipeline.deliveries.keys import DeliveryKey, parse_delivery_key
from swath.pipeline.deliveries.note import DUE_STEP, DeliveryNote, mark_due, note_uri
from swath.pipeline.start import Drop, StartSummary, run_options, start_request
from swath.settings import StartRunSettings

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions import SFNClient

SETTLING_TIME = DUE_STEP
"""Time without a write after which the new version of a delivery is run."""
# Maximum number of attempts to write a note. Then the handler fails, and Lambda retries the event.
_MAX_ATTEMPTS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStarter:
    """Starts the runs of deliveries."""

    settings: StartRunSettings
    catalog: Catalog
    now: datetime
    """Time of the event in UTC."""
    sfn: SFNClient | None = None
    """Client of Step Functions; None for a new one."""

    def handle_drop(self, drop: Drop) -> StartSummary:
        """Start the run of the delivery that a dropped object completes.

        Raises:
            botocore.exceptions.ClientError: Step Functions or S3 refused a request; the caller
                should retry.
            TransientError: S3 failed, or too many events of one delivery arrived at once; the
                caller should retry.
        """
        key = parse_delivery_key(
            drop.bucket, drop.key, prefix=self.settings.deliveries_prefix, models=self.catalog
        )
        if key is None:
            reason = "not in the folder of a delivery"
            return StartSummary(outcome="ignored", uri=drop.uri, reason=reason)
        uri = note_uri(self.settings.work_uri, key.folder)
        for _ in range(_MAX_ATTEMPTS):
            note, etag = DeliveryNote.read(uri)
            if note is None:
                note = self._open(DeliveryNote(folder=key.folder, model=key.model, opened_at=""))
            elif summary := _ignore(note, key, drop):
                return summary
            if key.is_marker:
                note = msgspec.structs.replace(note, marker=drop.uri)
            if needs_listing(note, key):
                if summary := self.check(note, uri, etag):
                    return summary
            elif note.write(uri, etag):
                return _waiting(note)
        raise _contention_error(uri)

    def check(self, note: DeliveryNote, uri: str, etag: str | None) -> StartSummary | None:
        """List a delivery, and start its runs if it is complete.

        Args:
            note: Note of the delivery, as it is to be written.
            uri: Address of the note.
            etag: ETag of the stored note; None if there is none.

        Returns:
            The outcome; None if another handler has written the note since.
        """
        for _ in range(_MAX_ATTEMPTS):
            contents = Contents.read(note)
            if not contents.documents:
                written, etag = self._wait(note, contents, uri, etag)
                if written is None:
                    return None
                if not _is_watched_there(written, contents):
                    return _waiting(written, contents.reason)
                note = written
                continue
            if self._is_settling(note, contents):
                return self._wait_for_quiet(note, contents, uri, etag)
            summary = self._start(note, contents)
            closed = _close(note, contents)
            etag = closed.write(uri, etag)
            if etag is None:
                return None
            if Contents.read(closed).has_same(contents.etags):
                return summary
            note = closed
        raise _contention_error(uri)

    def _open(self, note: DeliveryNote) -> DeliveryNote:
        """Return the note of a delivery that begins now, to be checked after the time limit."""
        due = self.now + timedelta(hours=self.settings.delivery_hours)
        mark_due(self.settings.work_uri, note.folder, due)
        return msgspec.structs.replace(
            note, opened_at=self.now.isoformat(), is_open=True, is_reported=False
        )

    def _wait(
        self, note: DeliveryNote, contents: Contents, uri: str, etag: str | None
    ) -> tuple[DeliveryNote | None, str | None]:
        """Write which part a delivery waits for; return the note and its ETag, or None."""
        opened = note if note.is_open else self._open(note)
        watched = contents.missing[-1].path if contents.missing else ""
        waiting = msgspec.structs.replace(opened, manifest=contents.manifest, watched=watched)
        etag = waiting.write(uri, etag)
        return (waiting, etag) if etag else (None, None)

    def _is_settling(self, note: DeliveryNote, contents: Contents) -> bool:
        """Return whether a new version of a delivery may still be in the making."""
        is_new_version = bool(note.started) and note.started != contents.etags
        newest = contents.completed_at or self.now
        return is_new_version and not contents.is_confirmed and self.now - newest < SETTLING_TIME

    def _wait_for_quiet(
        self, note: DeliveryNote, contents: Contents, uri: str, etag: str | None
    ) -> StartSummary | None:
        opened = note if note.is_open else self._open(note)
        mark_due(self.settings.work_uri, note.folder, self.now + SETTLING_TIME)
        waiting = msgspec.structs.replace(opened, manifest=contents.manifest, watched="")
        if not waiting.write(uri, etag):
            return None
        return _waiting(waiting, "files were replaced in the last 15 minutes")

    def _start(self, note: DeliveryNote, contents: Contents) -> StartSummary:
        """Start the runs of a complete delivery; return the outcome of the last."""
        prefix = self.settings.deliveries_prefix
        model = choose_model(
            f"{prefix}{note.model}/" if note.model else prefix,
            self.catalog,
            prefix=prefix,
            default=self.settings.default_model,
        )
        summary = StartSummary(outcome="outdated", uri=note.folder)
        for scene in contents.scenes():
            request = RunRequest.new(
                scene=scene,
                model=model,
                options=run_options(self.settings),
                requested_at=datetime.now(UTC).isoformat(),
            )
            summary = start_request(request, settings=self.settings, sfn=self.sfn)
        return summary


def needs_listing(note: DeliveryNote, key: DeliveryKey) -> bool:
    """Return whether an event may complete a delivery, so that its folder is to be listed."""
    if not note.is_open or key.is_marker or key.path == note.watched:
        return True
    is_manifest = key.is_at_top and manifest_kind(key.path) is not None
    return is_manifest and note.manifest in {"", key.path}


def _ignore(note: DeliveryNote, key: DeliveryKey, drop: Drop) -> StartSummary | None:
    """Return the outcome of an event that changes nothing; None if the event matters."""
    if note.is_open:
        return None if needs_listing(note, key) else _waiting(note)
    if key.is_marker or key.path == note.manifest:
        # Dropped again, a manifest or marker runs a failed run once more.
        return None
    known = note.started.get(key.path)
    if known is None:
        return StartSummary(outcome="ignored", uri=drop.uri, reason="not a part of the delivery")
    if drop.etag == known:
        return StartSummary(outcome="duplicate", uri=drop.uri)
    is_old = storage.etag(drop.uri) in {known, None}
    return StartSummary(outcome="outdated", uri=drop.uri) if is_old else None


def _is_watched_there(note: DeliveryNote, contents: Contents) -> bool:
    """Return whether the watched part was written between the listing and the note."""
    if not note.watched:
        return False
    status = storage.status(storage.join(note.folder, note.watched))
    if status is None:
        return False
    # The time of the write does not matter here.
    listed = storage.ListedObject(status.etag, status.size, datetime.now(UTC))
    return contents.missing[-1].matches(listed)


def _close(note: DeliveryNote, contents: Contents) -> DeliveryNote:
    return msgspec.structs.replace(
        note,
        is_open=False,
        watched="",
        manifest=contents.manifest,
        # A corrected manifest begins the delivery anew.
        started={} if contents.is_refused else contents.etags,
        is_reported=False,
    )


def _waiting(note: DeliveryNote, reason: str = "") -> StartSummary:
    return StartSummary(outcome="waiting", uri=f"{note.folder}/", reason=reason)


def _contention_error(uri: str) -> TransientError:
    return TransientError(
        f"{uri} was not written: other processes wrote it first, {_MAX_ATTEMPTS} times"
    )
