"""The files of a collection: scenes and labels, in folders and on S3."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from swath import storage
from swath.errors import LabelsError
from swath.errors.service_errors import transient_errors
from swath.raster.scene import open_scene
from swath.raster.scene_info import SceneInfo

_SCENES = (".tif", ".tiff", ".jp2", ".j2k", ".ntf", ".nitf")
_AT_ONCE = 8
"""Files that are asked for together: S3 takes long to answer, not long to send."""
_PIECE = 1 << 20

_Result = TypeVar("_Result")


def stem(uri: str) -> str:
    """The name of a file without its ending."""
    return PurePosixPath(uri).stem


def listed(folder: str, endings: Sequence[str]) -> list[str]:
    """List the files directly in a folder with one of those endings (lower case), by name.

    Hidden files are left out: macOS writes `._a.tif` beside `a.tif` on disks of other systems.
    """
    found = _listed_s3(folder) if storage.is_s3(folder) else _listed_here(folder)
    return sorted(
        uri
        for uri in found
        if uri.lower().endswith(tuple(endings)) and not PurePosixPath(uri).name.startswith(".")
    )


def _listed_here(folder: str) -> Iterable[str]:
    path = Path(folder)
    return [str(file) for file in path.iterdir() if file.is_file()] if path.is_dir() else []


def _listed_s3(folder: str) -> Iterable[str]:
    bucket, key = storage.split_s3(folder)
    prefix = f"{key.rstrip('/')}/" if key else ""
    lister = storage.s3().get_paginator("list_objects_v2")
    with transient_errors(f"{folder} cannot be listed"):
        pages = lister.paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        items = [item for page in pages for item in page.get("Contents", [])]
    return [f"s3://{bucket}/{item['Key']}" for item in items]


def find_scenes(images: str) -> list[str]:
    """The scenes of a folder, by name; or the one scene that the address is of.

    Raises:
        LabelsError: there is none.
    """
    if images.lower().endswith(_SCENES):
        return [images]
    found = listed(images, _SCENES)
    if not found:
        raise LabelsError(
            f"there are no scenes in {images}: it should be a folder, or an S3 prefix, with files "
            f"that end in {', '.join(_SCENES)}"
        )
    return found


def read_headers(uris: Sequence[str]) -> list[SceneInfo]:
    """What the headers of scenes say.

    Raises:
        SceneError: one is missing, or none that swath reads.
        LabelsError: they have different numbers of bands, and no names to find them by.
    """
    headers = each(_header, uris)
    first = headers[0] if headers else None
    for header in headers:
        named = all(header.band_names) and first and all(first.band_names)
        if first and header.count != first.count and not named:
            raise LabelsError(
                f"{header.uri} has {header.count} bands and {first.uri} {first.count}; give scenes "
                "of the same bands, or name the bands of each (gdal_edit.py can)"
            )
    return headers


def digests(uris: Sequence[str]) -> list[str]:
    """SHA-256, hex, of the bytes of each file."""
    return each(_digest, uris)


def _header(uri: str) -> SceneInfo:
    with open_scene(uri) as scene:
        return scene.info


def _digest(uri: str) -> str:
    digest = hashlib.sha256()
    with transient_errors(f"{uri} cannot be read"), _stream(uri) as stream:
        while piece := stream.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def _stream(uri: str) -> Any:
    if not storage.is_s3(uri):
        return Path(uri).open("rb")
    bucket, key = storage.split_s3(uri)
    return storage.s3().get_object(Bucket=bucket, Key=key)["Body"]


def each(function: Callable[[str], _Result], uris: Sequence[str]) -> list[_Result]:
    """Call a function with each address, several at once; results in the order of the addresses."""
    with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="swath-labels") as pool:
        return list(pool.map(function, uris))
