"""List the objects below a folder, in the order of their names."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from swath.errors import InputError
from swath.storage import local_files, s3_objects
from swath.storage.addresses import is_s3


@dataclass(frozen=True, slots=True)
class ListedObject:
    """Object in a listing.

    Attributes:
        etag: Identity of the object's bytes.
        size: Size in bytes.
        modified: Time of the last write in UTC; S3 states it in whole seconds.
    """

    etag: str
    size: int
    modified: datetime


def list_objects(folder: str, max_objects: int, *, after: str = "") -> dict[str, ListedObject]:
    """Return the objects below a folder, also those in its subfolders.

    S3 returns 1,000 objects for each request. Markers of folders (empty objects whose key ends with
    a slash) are left out.

    Args:
        folder: Address of the folder, with or without a slash at its end.
        max_objects: Maximum number of objects.
        after: Only objects whose path sorts after this one are returned.

    Returns:
        The objects by path relative to the folder, in the order of the paths.

    Raises:
        InputError: There are more objects.
    """
    listed: dict[str, ListedObject] = {}
    for path, found in iterate_objects(folder, after=after):
        if len(listed) == max_objects:
            raise InputError(
                f"{folder} has more than {max_objects:,} objects; move those that do not belong to "
                "it into other folders"
            )
        listed[path] = found
    return listed


def iterate_objects(folder: str, *, after: str = "") -> Iterator[tuple[str, ListedObject]]:
    """Yield the objects below a folder by path relative to it, in the order of the paths.

    Args:
        folder: Address of the folder, with or without a slash at its end.
        after: Only objects whose path sorts after this one are yielded.
    """
    prefix = folder.rstrip("/") + "/"
    if is_s3(prefix):
        for entry in s3_objects.iterate(prefix, after=after):
            path = f"s3://{entry.bucket}/{entry.key}".removeprefix(prefix)
            if path and not path.endswith("/"):
                yield path, ListedObject(entry.etag, entry.size, entry.modified)
        return
    root = Path(prefix)
    paths = sorted(str(path.relative_to(root)) for path in _files(root))
    for path in paths:
        status = local_files.read_status(root / path)
        if path > after and status:
            modified = datetime.fromtimestamp((root / path).stat().st_mtime, UTC)
            yield path, ListedObject(status.etag, status.size, modified)


def _files(root: Path) -> Iterator[Path]:
    # `os.walk` does not follow links to folders, which can form a circle.
    for folder, _, names in os.walk(root):
        yield from (Path(folder) / name for name in names)
