"""Upload the objects of a drop, each as a whole; the last one starts the run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from swath import storage
from swath.errors import InputError, TransientError
from swath.errors.service_errors import translate_transient_errors
from swath.messages.acquisition_time import METADATA_KEY

if TYPE_CHECKING:
    from swath.pipeline.dropping.drops import PlannedDrop, Upload

_CONTENT_TYPE = "application/octet-stream"
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
        metadata = _metadata(drop) if file.uri == drop.uri else {}
        _upload_file(file, metadata, done, drop.size, progress)
        done += file.size
    if drop.document is not None:
        _write_document(drop, drop.document)
    status, moment = storage.status(drop.uri), storage.modified(drop.uri)
    if status is None or moment is None:
        raise TransientError(f"{drop.uri} is gone after its upload; drop the scene again")
    return DroppedScene(
        uri=drop.uri,
        etag=status.etag,
        dropped_at=moment,
        scene_id=drop.item.scene_id if drop.item else "",
    )


def _metadata(drop: PlannedDrop) -> dict[str, str]:
    """Return the metadata of the object that starts the run."""
    return {METADATA_KEY: drop.acquired_at} if drop.acquired_at else {}


def _write_document(drop: PlannedDrop, content: bytes) -> None:
    bucket, key = storage.split_object(drop.uri)
    with translate_transient_errors(f"{drop.uri} cannot be written"):
        storage.s3().put_object(
            Bucket=bucket,
            Key=key,
            Body=content,
            ContentType="application/json",
            Metadata=_metadata(drop),
        )


def _upload_file(
    file: Upload, metadata: dict[str, str], before: int, total: int, progress: UploadCallback
) -> None:
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
            ExtraArgs={
                "ContentType": _CONTENT_TYPE,
                "ChecksumAlgorithm": "SHA256",
                "Metadata": metadata,
            },
            Callback=report,
        )
    if _state(file) != state:
        raise InputError(f"{file.path} was changed while it was uploaded; drop it again")


def _state(file: Upload) -> tuple[int, int]:
    status = file.path.stat()
    return status.st_size, status.st_mtime_ns
