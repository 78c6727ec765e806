"""Decide what is uploaded for a drop, and under which keys.

A single local file is uploaded as it is. Several files, and files that already lie on S3, are named
by a small JSON document, whose upload starts the run. Their own upload starts none.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from swath import storage
from swath.errors import InputError
from swath.items import SceneItem, SceneSources, parse_item
from swath.items.documents import MAX_DOCUMENT_BYTES
from swath.messages.acquisition_time import parse_acquired_at
from swath.messages.requests import is_document
from swath.models.package import describe_package
from swath.pipeline.start import Drop, ignore_reason
from swath.raster.interpretation import select_bands
from swath.raster.scene import open_scene

if TYPE_CHECKING:
    from swath.messages import ModelRef

INCOMING_PREFIX = "incoming/"
"""Key prefix of drops, which start runs."""
FILES_PREFIX = "files/"
"""Key prefix of the files that documents name; they start no run."""
MAX_OBJECT_BYTES = 5 << 40
"""Maximum size of an object in bytes.
https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """Local file that is uploaded."""

    path: Path
    uri: str
    """Address of the object."""
    size: int
    """Size of the file in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedDrop:
    """Objects of a drop: the files first, then the object that starts the run."""

    uri: str
    """Address of the object that starts the run."""
    files: Sequence[Upload] = ()
    """Files to upload before; if there is no document, the only one is the scene."""
    document: bytes | None = None
    """Document to upload last, JSON; None for a scene of one file."""
    item: SceneItem | None = field(default=None, repr=False)
    """Content of the document."""
    acquired_at: str = ""
    """Time of the acquisition, ISO 8601 UTC, that the user gave; empty if there is none."""

    @property
    def size(self) -> int:
        """Number of bytes to upload, without the document."""
        return sum(file.size for file in self.files)


@dataclass(frozen=True, slots=True, kw_only=True)
class DropTarget:
    """Bucket and model of a drop."""

    bucket: str
    """Name of the scenes bucket."""
    model: ModelRef
    """Deployed model."""
    is_default: bool
    """Whether no model was named, so that the scene is dropped outside the folders of models."""
    sources: SceneSources
    """Sources that the stack allows for the files of documents."""

    def incoming_uri(self, name: str) -> str:
        """Return the address under which an object starts a run."""
        folder = "" if self.is_default else f"{self.model.name}/"
        return f"s3://{self.bucket}/{INCOMING_PREFIX}{folder}{name}"

    def file_uri(self, scene: str, name: str) -> str:
        """Return the address of a file that a document names."""
        return f"s3://{self.bucket}/{FILES_PREFIX}{self.model.name}/{scene}/{name}"


def check_local_files(scenes: Sequence[str]) -> None:
    """Check that the local files of a scene exist, before any request.

    Raises:
        InputError: A file is missing or is a folder.
    """
    for scene in scenes:
        if not storage.is_s3(scene):
            _require_file(scene)


def plan_drop(
    scenes: Sequence[str], target: DropTarget, *, acquired_at: str | None = None
) -> PlannedDrop:
    """Return what a drop uploads, after checks that nothing of it is refused later.

    Args:
        scenes: Paths or S3 URIs of the scene's files, or the path of a STAC Item.
        target: Bucket and model.
        acquired_at: Time of the acquisition, ISO 8601; None if it is unknown.

    Raises:
        InputError: A file is missing, empty or too large, or starts no run.
        SceneError: A file lies outside the sources of the stack, or lacks the model's bands.
    """
    drop = _plan_objects(scenes, target)
    return replace(drop, acquired_at=_parse_time(acquired_at)) if acquired_at else drop


def _plan_objects(scenes: Sequence[str], target: DropTarget) -> PlannedDrop:
    if len(scenes) == 1 and is_document(scenes[0]):
        return _plan_document(scenes[0], target)
    if len(scenes) == 1 and not storage.is_s3(scenes[0]):
        name = storage.file_name(storage.resolve(scenes[0]))
        upload = _upload(scenes[0], target.incoming_uri(name))
        return PlannedDrop(uri=upload.uri, files=[upload])
    if documents := [scene for scene in scenes if is_document(scene)]:
        raise InputError(f"{documents[0]} is one of several files of a scene; give it alone")
    return _plan_files(scenes, target)


def _plan_document(path: str, target: DropTarget) -> PlannedDrop:
    """Return the drop of a STAC Item, whose files are not copied."""
    if storage.is_s3(path):
        content = storage.read_bounded(path, MAX_DOCUMENT_BYTES)
        name = storage.file_name(path)
    else:
        local = _require_file(path)
        content, name = storage.read_bounded(str(local), MAX_DOCUMENT_BYTES), local.name
    uri = target.incoming_uri(name)
    item = parse_item(content, uri, target.sources)
    readable = [asset for asset in item.assets if asset.href]
    if not readable:
        reason = item.assets[0].refusal if item.assets else f"{path} names no raster file"
        raise InputError(f"none of the files of {path} can be read by the stack: {reason}")
    return PlannedDrop(uri=uri, document=content, item=item)


def _plan_files(scenes: Sequence[str], target: DropTarget) -> PlannedDrop:
    """Return the drop of files that a document names; those on S3 are not copied."""
    names = [storage.file_name(scene) for scene in scenes]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"two files have the name {twice[0]!r}; rename one of them")
    scene = _scene_name(names)
    uploads, addresses = [], []
    for source, name in zip(scenes, names, strict=True):
        if storage.is_s3(source):
            addresses.append(target.sources.check(source))
        else:
            uploads.append(_upload(source, target.file_uri(scene, name)))
            addresses.append(uploads[-1].uri)
    document: dict[str, Any] = (
        {"files": addresses}
        if len(scenes) > 1
        else {"bands": _name_bands(scenes[0], addresses[0], target.model)}
    )
    uri = target.incoming_uri(f"{scene}.json")
    content = json.dumps(document, indent=1).encode()
    item = parse_item(content, uri, target.sources)
    return PlannedDrop(uri=uri, files=uploads, document=content, item=item)


def _name_bands(source: str, address: str, model: ModelRef) -> dict[str, Any]:
    """Return the bands of the model in a file, as a document names them."""
    description = describe_package(model.uri).description
    with open_scene(storage.resolve(source)) as scene:
        numbers = select_bands(scene.info, description.bands)
    return {
        name: {"uri": address, "band": number}
        for name, number in zip(description.bands, numbers, strict=True)
    }


def _scene_name(names: Sequence[str]) -> str:
    """Return a name for a scene of several files: the beginning that their names share."""
    stems = [name.rpartition(".")[0] or name for name in names]
    # Names are compared character by character, not by folder.
    shared = os.path.commonprefix(stems).rstrip("_-. ")  # noqa: RUF071
    return shared or f"{stems[0]}-and-{len(names) - 1}-more"


def _upload(source: str, uri: str) -> Upload:
    path = _require_file(source)
    size = path.stat().st_size
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes); copy it again")
    if size > MAX_OBJECT_BYTES:
        raise InputError(
            f"{path} has {size:,} bytes, and an object on S3 at most {MAX_OBJECT_BYTES:,}; "
            "divide it, or compress it with gdal_translate -of COG"
        )
    bucket, key = storage.split_object(uri)
    reason = ignore_reason(Drop(bucket=bucket, key=key, etag="", size=size, dropped_at=""))
    if reason:
        raise InputError(
            f"{path} starts no run, since it is {reason}; give the scene that it belongs to"
        )
    return Upload(path=path, uri=uri, size=size)


def _require_file(source: str) -> Path:
    path = Path(storage.resolve(source))
    if not path.is_file():
        kind = "is a folder; give its files" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {kind}; check the path")
    return path


def _parse_time(text: str) -> str:
    try:
        return parse_acquired_at(text)
    except ValueError as error:
        raise InputError(f"--acquired-at is {text!r}, which {error}") from None
