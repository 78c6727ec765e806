"""Upload the objects of a drop, each as a whole; the last one starts the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from swath import storage
from swath.errors import InputError, TransientError
from swath.errors.service_errors import translate_transient_errors

if TYPE_CHECKING:
    from swath.pipeline.dropping.drops import PlannedDrop, Upload

UploadCallback = Callable[[str, int, int], None]
"""Callback with the name of the file, and the bytes uploaded and in total of all files."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DroppedScene:
    """Object that starts a run, as S3 has it."""

    uri: str
    etag: str
    dropped_at: datetime
    """Time of the upload by the clock of S3, in whole seconds."""
    scene_id: str = ""
    """Collection and id of a STAC Item; empty for any other scene."""


def upload_drop(drop: PlannedDrop, progress: UploadCallback) -> DroppedScene:
    """Upload the files of a drop, then its document.

    S3 shows an object only once it is complete, and verifies the checksum of each part. If an
    upload is interrupted, no run starts, and the parts that were sent are removed.

    Args:
        drop: Objects to upload.
        progress: Callback after each part.

    Raises:
        InputError: A file was changed while it was uploaded.
        TransientError: S3 failed, and a retry can succeed.
    """
    done = 0
    for file in drop.files:
        _upload_file(file, done, drop.size, progress)
        done += file.size
    if drop.document is not None:
        storage.write_bytes(drop.uri, drop.document, content_type="application/json")
    status, moment = storage.status(drop.uri), storage.modified(drop.uri)
    if status is None or moment is None:
        raise TransientError(f"{drop.uri} is gone after its upload; drop the scene again")
    return DroppedScene(
        uri=drop.uri,
        etag=status.etag,
        dropped_at=moment,
        scene_id=drop.item.scene_id if drop.item else "",
    )


def _upload_file(file: Upload, before: int, total: int, progress: UploadCallback) -> None:
    bucket, key = storage.split_object(file.uri)
    sent = 0
    progress(file.path.name, before, total)

    def report(count: int) -> None:
        nonlocal sent
        sent += count
        progress(file.path.name, before + sent, total)

    state = _state(file)
    with translate_transient_errors(f"{file.path} cannot be uploaded to {file.uri}"):
        storage.s3().upload_file(
            str(file.path),
            bucket,
            key,
            ExtraArgs={"ContentType": "image/tiff", "ChecksumAlgorithm": "SHA256"},
            Callback=report,
        )
    if _state(file) != state:
        raise InputError(f"{file.path} was changed while it was uploaded; drop it again")


def _state(file: Upload) -> tuple[int, int]:
    status = file.path.stat()
    return status.st_size, status.st_mtime_ns
