"""Read labeled scenes of several files: STAC Items, and small JSONs of names and URIs."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from swath import storage
from swath.errors import LabelsError, SceneError
from swath.items import SceneSources, read_item
from swath.raster.assets.open import OpenedScene, open_model_scene
from swath.raster.assets.stack import BandNeeds
from swath.storage import https_objects, s3_objects

if TYPE_CHECKING:
    from swath.raster.assets.stack import AssetRef
    from swath.raster.scene_info import SceneInfo

_CHUNK_BYTES = 8 << 20


@contextmanager
def open_document(uri: str, bands: Sequence[str]) -> Iterator[OpenedScene]:
    """Open the scene of a document on the grid of its finest band, and close it on exit.

    Labels are in px of that grid.

    Args:
        uri: Address of the document.
        bands: Names of the model's bands.

    Raises:
        LabelsError: There are no bands, so the size of the scene is unknown.
        SceneError: The document or a file is missing or damaged, or a band is missing.
        TransientError: S3 or a server did not answer.
    """
    if not bands:
        raise LabelsError(
            f"{uri} is a scene of several files, whose size depends on the bands; name the model's "
            "bands, as with the training option bands"
        )
    with open_model_scene(read_item(uri, SceneSources()), BandNeeds(tuple(bands))) as opened:
        yield opened


def read_document_header(uri: str, bands: Sequence[str]) -> SceneInfo:
    """Return the header of the scene of a document; see `open_document`."""
    with open_document(uri, bands) as opened:
        return replace(opened.scene.info, uri=uri)


def hash_document(uri: str, bands: Sequence[str]) -> str:
    """Return a SHA-256, hex, of the bytes of the files that hold the bands, in the bands' order.

    It depends on no address, so a copy of the scene has the same digest.
    """
    with open_document(uri, bands) as opened:
        stack = opened.stack
    if stack is None:
        raise SceneError(f"{uri} names no files; give a STAC Item")
    digests = [_hash_asset(asset) for asset in stack.assets]
    lines = [f"{digests[band.asset]} {band.band} {band.unit} {band.nodata}" for band in stack.bands]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def list_document_files(uri: str) -> list[str]:
    """Return the addresses of the raster files that a document names.

    Raises:
        SceneError: The document is invalid.
    """
    return [asset.href for asset in read_item(uri, SceneSources()).assets if asset.href]


def _hash_asset(asset: AssetRef) -> str:
    """Return the SHA-256, hex, of the bytes of a file, which must have its ETag."""
    digest = hashlib.sha256()
    for piece in _read_pieces(asset):
        digest.update(piece)
    return digest.hexdigest()


def _read_pieces(asset: AssetRef) -> Iterator[bytes]:
    if not storage.is_remote(asset.uri):
        with Path(asset.uri).open("rb") as file:
            while piece := file.read(_CHUNK_BYTES):
                yield piece
        return
    status = storage.status(asset.uri)
    if status is None:
        raise SceneError(f"there is no file at {asset.uri}; check the address")
    read = https_objects.get_range if storage.is_https(asset.uri) else s3_objects.get_range
    for offset in range(0, status.size, _CHUNK_BYTES):
        yield read(asset.uri, asset.etag, offset, min(_CHUNK_BYTES, status.size - offset))
