"""List, read and hash the files of a collection, in local folders and on S3."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

from swath import storage
from swath.errors import LabelsError
from swath.errors.service_errors import translate_transient_errors
from swath.items import is_scene_document
from swath.labels.scene_documents import (
    hash_document,
    list_document_files,
    read_document_header,
)
from swath.messages import is_document
from swath.raster.scene import open_scene
from swath.raster.scene_info import SceneInfo

_SCENE_SUFFIXES = (".tif", ".tiff", ".jp2", ".j2k", ".ntf", ".nitf")
_MAX_CONCURRENT_FILES = 8
"""Maximum number of files that are read concurrently. On S3, most of the time is latency."""
_CHUNK_BYTES = 1 << 20

_Result = TypeVar("_Result")


def stem(uri: str) -> str:
    """Return the name of a file without its suffix."""
    return PurePosixPath(uri).stem


def list_files(folder: str, suffixes: Sequence[str]) -> list[str]:
    """Return the files directly in a folder that end in any of the suffixes, sorted by name.

    Hidden files are left out, since macOS writes `._a.tif` next to `a.tif` on foreign file systems.

    Args:
        folder: Local folder or S3 URI.
        suffixes: Suffixes in lower case, such as `.tif`.
    """
    uris = _list_s3(folder) if storage.is_s3(folder) else _list_local(folder)
    return sorted(
        uri
        for uri in uris
        if uri.lower().endswith(tuple(suffixes)) and not PurePosixPath(uri).name.startswith(".")
    )


def _list_local(folder: str) -> Iterable[str]:
    path = Path(folder)
    return [str(file) for file in path.iterdir() if file.is_file()] if path.is_dir() else []


def _list_s3(folder: str) -> Iterable[str]:
    bucket, key = storage.split_s3(folder)
    prefix = f"{key.rstrip('/')}/" if key else ""
    lister = storage.s3().get_paginator("list_objects_v2")
    with translate_transient_errors(f"{folder} cannot be listed"):
        pages = lister.paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        items = [item for page in pages for item in page.get("Contents", [])]
    return [f"s3://{bucket}/{item['Key']}" for item in items]


def list_scenes(images: str) -> list[str]:
    """Return the scenes of a folder, sorted by name, or the address itself if it is a scene.

    A JSON file of the folder is a scene if it is a STAC Item or a small JSON of names and URIs.
    The raster files that it names are then no scenes by themselves.

    Args:
        images: Local folder, S3 URI of a folder, or address of one scene.

    Raises:
        LabelsError: There is no scene in the folder.
        SceneError: The document of a scene in the folder is invalid.
    """
    if images.lower().endswith(_SCENE_SUFFIXES) or is_document(images):
        return [images]
    documents, _ = split_documents(list_files(images, [".json"]))
    named = {file for files in map_concurrently(list_document_files, documents) for file in files}
    files = list_files(images, _SCENE_SUFFIXES)
    uris = sorted([*documents, *(uri for uri in files if storage.resolve(uri) not in named)])
    if not uris:
        raise LabelsError(
            f"{images} contains no scenes: it must be a folder, or an S3 prefix, with files "
            f"that end in {', '.join(_SCENE_SUFFIXES)}, or with STAC Items that end in .json"
        )
    return uris


def split_documents(uris: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the documents of scenes among JSON files, and the other files.

    Args:
        uris: Addresses of JSON files.
    """
    is_scene = map_concurrently(is_scene_document, uris)
    known = list(zip(uris, is_scene, strict=True))
    return [uri for uri, yes in known if yes], [uri for uri, yes in known if not yes]


def read_headers(uris: Sequence[str], bands: Sequence[str] = ()) -> list[SceneInfo]:
    """Return the headers of scenes, in the order of `uris`.

    Args:
        uris: Addresses of the scenes.
        bands: Names of the model's bands, which decide the size of a scene of several files.

    Raises:
        SceneError: A scene is missing, or swath cannot read it.
        LabelsError: The scenes have different numbers of bands, and some bands have no name.
    """
    headers = map_concurrently(partial(_header, bands=bands), uris)
    check_same_bands(headers)
    return headers


def check_same_bands(headers: Sequence[SceneInfo]) -> None:
    """Check that scenes have the same number of bands, unless all of their bands have names.

    Raises:
        LabelsError: The scenes have different numbers of bands, and some bands have no name.
    """
    first = headers[0] if headers else None
    for header in headers:
        named = all(header.band_names) and first and all(first.band_names)
        if first and header.count != first.count and not named:
            raise LabelsError(
                f"{header.uri} has {header.count} bands, but {first.uri} has {first.count}; give "
                "scenes with the same bands, or set the description of each band to its name"
            )


def hash_files(uris: Sequence[str], bands: Sequence[str] = ()) -> list[str]:
    """Return the SHA-256, hex, of each scene, in the order of `uris`.

    Args:
        uris: Addresses of the scenes.
        bands: Names of the model's bands, whose files are hashed in a scene of several files.
    """
    return map_concurrently(partial(_digest, bands=bands), uris)


def _header(uri: str, *, bands: Sequence[str]) -> SceneInfo:
    if is_document(uri):
        return read_document_header(uri, bands)
    with open_scene(uri) as scene:
        return scene.info


def _digest(uri: str, *, bands: Sequence[str]) -> str:
    if is_document(uri):
        return hash_document(uri, bands)
    digest = hashlib.sha256()
    with translate_transient_errors(f"{uri} cannot be read"), _stream(uri) as stream:
        while piece := stream.read(_CHUNK_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _stream(uri: str) -> Any:
    if not storage.is_s3(uri):
        return Path(uri).open("rb")
    bucket, key = storage.split_s3(uri)
    return storage.s3().get_object(Bucket=bucket, Key=key)["Body"]


def map_concurrently(function: Callable[[str], _Result], uris: Sequence[str]) -> list[_Result]:
    """Call a function concurrently for each address, and return the results in the same order."""
    with ThreadPoolExecutor(_MAX_CONCURRENT_FILES, thread_name_prefix="swath-labels") as pool:
        return list(pool.map(function, uris))
