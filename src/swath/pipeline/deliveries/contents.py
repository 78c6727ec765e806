"""Determine from a listing of a delivery's folder whether the delivery is complete."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Self

from botocore.exceptions import ClientError

from swath import storage
from swath.errors import InputError, SceneError
from swath.items import read_item
from swath.items.deliveries import (
    MAX_PARTS,
    Manifest,
    Part,
    choose_manifest,
    find_item,
    is_marker,
    is_raster,
    manifest_kind,
    read_manifest,
)
from swath.messages import SceneRef
from swath.pipeline.deliveries.note import DeliveryNote

_MAX_LISTED_PARTS = 5
"""Maximum number of missing parts that a reason names."""
_DIGEST_CHARACTERS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """Files of a delivery at one time, and what is missing."""

    folder: str
    manifest: str = ""
    """Path of the manifest; empty if there is none."""
    files: dict[str, storage.ListedObject]
    """Files of the scene by path, with the manifest and without the marker."""
    documents: tuple[str, ...] = ()
    """Addresses of the documents of the scenes; empty if the delivery is incomplete."""
    missing: tuple[Part, ...] = ()
    """Parts that the manifest lists and that are not there."""
    reason: str = ""
    """Why the delivery is incomplete, without a period; empty if it is complete."""
    completed_at: datetime | None = None
    """Time of the last write to a file; None if there is no file."""
    is_confirmed: bool = False
    """Whether a marker was written after all files."""
    is_refused: bool = False
    """Whether the manifest cannot be read, so that its run fails with the reason."""

    @property
    def etags(self) -> dict[str, str]:
        """ETags of the files by path."""
        return {path: listed.etag for path, listed in self.files.items()}

    def has_same(self, etags: Mapping[str, str]) -> bool:
        """Return whether the files of an earlier listing are still the same.

        Args:
            etags: ETags of those files by path.
        """
        return all(
            path in self.files and self.files[path].etag == etag for path, etag in etags.items()
        )

    @classmethod
    def read(cls, note: DeliveryNote) -> Self:
        """List the folder of a delivery, and compare the list with its manifest.

        Args:
            note: Note of the delivery.

        Raises:
            botocore.exceptions.ClientError: S3 refused a request.
            TransientError: S3 failed, and a retry can succeed.
        """
        try:
            listing = storage.list_objects(note.folder, MAX_PARTS)
        except InputError as error:
            return cls(folder=note.folder, files={}, reason=str(error))
        marker = _read_marker(note, listing)
        path = note.manifest if note.manifest in listing else choose_manifest(listing)
        uri = storage.join(note.folder, path) if path else ""
        try:
            read = read_manifest(uri) if uri else None
        except SceneError:
            # The plan reads the manifest again, and refuses it with the reason.
            refused = cls._complete(note, path, {path: listing[path]}, (uri,))
            return replace(refused, is_refused=True)
        if read:
            return cls._with_manifest(note, path, listing, read, marker)
        return cls._without_manifest(note, listing, marker)

    @classmethod
    def _with_manifest(
        cls,
        note: DeliveryNote,
        path: str,
        listing: dict[str, storage.ListedObject],
        read: tuple[Manifest, list[str]],
        marker: storage.ListedObject | None,
    ) -> Self:
        manifest, documents = read
        missing = manifest.missing(listing)
        names = [path, *(part.path for part in manifest.parts)]
        files = {name: listing[name] for name in names if name in listing}
        if not missing:
            # The time of a marker does not count: it may be written before or after the run began.
            complete = cls._complete(note, path, files, tuple(documents), marker)
            newest = max(listed.modified for listed in files.values())
            return replace(complete, completed_at=newest)
        if marker:
            return cls._complete(note, path, files, tuple(documents), marker)
        return cls(
            folder=note.folder,
            manifest=path,
            files=files,
            missing=tuple(missing),
            reason=_describe_missing(missing, len(manifest.parts)),
        )

    @classmethod
    def _without_manifest(
        cls,
        note: DeliveryNote,
        listing: dict[str, storage.ListedObject],
        marker: storage.ListedObject | None,
    ) -> Self:
        files = {path: listed for path, listed in listing.items() if not is_marker(path)}
        if marker is None:
            return cls(folder=note.folder, files=files, reason=_describe_no_manifest(listing))
        rasters = [path for path in files if is_raster(path)]
        if not rasters:
            reason = "its marker was written, but the folder has no raster file"
            return cls(folder=note.folder, files=files, reason=reason)
        try:
            document = find_item(note.folder, list(files)) or note.marker
        except SceneError:
            document = note.marker
        if document == note.marker and len(rasters) == 1:
            # A single file is a scene by itself: its own header names the bands.
            document = storage.join(note.folder, rasters[0])
        return cls._complete(note, "", files, (document,), marker)

    @classmethod
    def _complete(
        cls,
        note: DeliveryNote,
        manifest: str,
        files: dict[str, storage.ListedObject],
        documents: tuple[str, ...],
        marker: storage.ListedObject | None = None,
    ) -> Self:
        newest = max(listed.modified for listed in files.values())
        return cls(
            folder=note.folder,
            manifest=manifest,
            files=files,
            documents=documents,
            completed_at=max(newest, marker.modified) if marker else newest,
            is_confirmed=bool(marker and marker.modified >= newest),
        )

    def scenes(self) -> list[SceneRef]:
        """Return the scenes of a complete delivery.

        The time of the drop is that of the last write to a file. It is the same for all who list
        these files, in whatever order the events of the files arrive.

        Raises:
            TransientError: S3 failed, and a retry can succeed.
        """
        text = json.dumps(sorted(self.etags.items()))
        digest = hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return [scene for uri in self.documents if (scene := self._scene(uri, digest))]

    def _scene(self, uri: str, digest: str) -> SceneRef | None:
        dropped_at = self.completed_at.isoformat() if self.completed_at else ""
        if is_raster(uri):
            etag = storage.etag(uri)
            return SceneRef(uri=uri, etag=etag, dropped_at=dropped_at) if etag else None
        try:
            item = read_item(uri)
        except (SceneError, ClientError, FileNotFoundError):
            # The plan refuses the scene with the reason, and the failure is recorded.
            etag = storage.etag(uri)
            return SceneRef(uri=uri, etag=etag, dropped_at=dropped_at) if etag else None
        return SceneRef(
            uri=item.uri,
            etag=item.etag,
            dropped_at=dropped_at,
            scene_id=item.scene_id,
            assets=digest,
        )


def _read_marker(
    note: DeliveryNote, listing: dict[str, storage.ListedObject]
) -> storage.ListedObject | None:
    """Return the marker of a delivery, in the folder or beside it; None if there is none."""
    path = note.marker.removeprefix(f"{note.folder}/")
    if not note.marker or path in listing:
        return listing.get(path)
    status, modified = storage.status(note.marker), storage.modified(note.marker)
    return storage.ListedObject(status.etag, status.size, modified) if status and modified else None


def _describe_missing(missing: list[Part], count: int) -> str:
    names = ", ".join(part.path for part in missing[:_MAX_LISTED_PARTS])
    more = len(missing) - _MAX_LISTED_PARTS
    rest = f" and {more} more" if more > 0 else ""
    verbs = "is missing or has" if len(missing) == 1 else "are missing or have"
    return f"{len(missing)} of its {count} parts {verbs} another size: {names}{rest}"


def _describe_no_manifest(listing: dict[str, storage.ListedObject]) -> str:
    nested = next((path for path in listing if manifest_kind(path)), "")
    if nested:
        return (
            f"its manifest {nested} does not lie directly in the folder; put the delivery directly "
            "below the folder of a deployed model, or below deliveries/"
        )
    return "it has no manifest (manifest.safe, *_MTL.txt or manifest.json) and no marker (.done)"
