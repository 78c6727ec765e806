"""Read the document of a scene: a STAC Item, or a small JSON of names and URIs."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from swath import storage
from swath.errors import SceneError
from swath.items.addresses import shown
from swath.items.deliveries import read_delivery
from swath.items.file_lists import scene_from_files, scene_from_list
from swath.items.scene_item import SceneItem
from swath.items.sources import SceneSources
from swath.items.stac_items import scene_from_stac
from swath.items.stac_types import DocumentHead, FileList, StacItem
from swath.items.versions import MAX_OLD_BYTES, is_old, upgrade
from swath.storage.encoding import to_utf8

MAX_DOCUMENT_BYTES = 8 << 20
MAX_DOCUMENT_VALUES = 500_000
"""Maximum number of values in a document: parsed, small values need 70 times their bytes."""
_KINDS = {
    "FeatureCollection": "a collection of Features; give one of its Items",
    "Collection": "a STAC Collection; give one of its Items",
    "Catalog": "a STAC Catalog; give one of its Items",
}
_NO_SOURCES = SceneSources()
# Created here, because msgspec 0.22 crashes if two threads resolve a type at once.
_HEADS = msgspec.json.Decoder(DocumentHead)
_ITEMS = msgspec.json.Decoder(StacItem)
_LISTS = msgspec.json.Decoder(FileList)


def read_item(uri: str, sources: SceneSources = _NO_SOURCES) -> SceneItem:
    """Read a STAC Item, a small JSON of names and URIs, or a delivery.

    A delivery is a folder, or its manifest or marker, as `swath.items.deliveries` reads it: its
    manifest and the producer's metadata are requested. For an Item or a small JSON, nothing else is
    requested: the addresses of the assets are only checked.

    Args:
        uri: Address of the document or folder. An https address must belong to the sources; any
            other is that of a drop or of a command, and is read as it is.
        sources: Allowed sources of the assets. The folder of the document is always allowed.

    Raises:
        SceneError: The document is no scene, or is too large; the error states why.
    """
    is_https = uri.lower().startswith("https:")
    if is_https:
        uri = sources.check(uri)
    sources.configure_access(uri)
    if not is_https and (delivery := read_delivery(uri, sources, parse_item)) is not None:
        return delivery
    known = storage.status_and_head(uri, MAX_DOCUMENT_BYTES)
    if known is None:
        raise SceneError(f"{shown(uri)} does not exist; check the address")
    status, content = known
    if status.size > MAX_DOCUMENT_BYTES:
        raise SceneError(_too_large(uri, status.size))
    if len(content) == status.size:
        return parse_item(content, uri, sources, etag=status.etag)
    content, etag = storage.read_with_etag(uri)
    return parse_item(content, uri, sources, etag=etag)


def parse_item(
    content: bytes, uri: str, sources: SceneSources = _NO_SOURCES, *, etag: str = ""
) -> SceneItem:
    """Parse a STAC Item or a small JSON of names and URIs.

    Args:
        content: JSON in UTF-8 or UTF-16, with or without a byte order mark.
        uri: Address of the document, against which relative addresses are resolved.
        sources: Allowed sources of the assets. The folder of the document is always allowed.
        etag: ETag of the document.

    Raises:
        SceneError: The document is no scene, or is too large; the error states why.
    """
    if len(content) > MAX_DOCUMENT_BYTES:
        raise SceneError(_too_large(uri, len(content)))
    try:
        text = to_utf8(content)
        _check_values(text, uri)
        head = _HEADS.decode(text)
        if head.type is None and head.stac_version is None and (head.files or head.bands):
            return scene_from_list(_LISTS.decode(text), uri, sources, etag)
        check_kind(head, uri)
        if not is_old(head.stac_version):
            item = _ITEMS.decode(text)
        elif len(text) <= MAX_OLD_BYTES:
            item = msgspec.convert(upgrade(msgspec.json.decode(text), uri), StacItem)
        else:
            raise SceneError(
                f"{shown(uri)} has the STAC version {shown(str(head.stac_version))} and more than "
                f"{MAX_OLD_BYTES >> 20} MiB; convert it to 1.0"
            )
        return scene_from_stac(item, uri, sources.with_folder(uri), etag)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise SceneError(describe_malformed(uri, error)) from None


def is_scene_document(uri: str) -> bool:
    """Return whether a JSON file is the document of a scene, and no labels or other JSON.

    Its members decide: an Item or a small JSON of names and URIs counts even if it is invalid.

    Args:
        uri: Local path or S3 URI of the file.
    """
    known = storage.status_and_head(uri, MAX_DOCUMENT_BYTES)
    if known is None or known[0].size > MAX_DOCUMENT_BYTES:
        return False
    content = known[1]
    if len(content) < known[0].size:
        content, _ = storage.read_with_etag(uri)
    try:
        head = _HEADS.decode(to_utf8(content))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    if head.type is None and head.stac_version is None:
        return bool(head.files or head.bands)
    return head.type == "Feature" and isinstance(head.stac_version, str)


def item_from_files(uris: Sequence[str], sources: SceneSources = _NO_SOURCES) -> SceneItem:
    """Return the scene of a list of files, whose names name the bands.

    Args:
        uris: Absolute addresses of the files, which the caller names and thereby allows.
        sources: Allowed sources, which say how to read buckets of others.

    Raises:
        SceneError: An address is invalid, or two are equal.
    """
    return scene_from_files(uris, sources.with_files(uris))


def check_kind(head: DocumentHead, uri: str) -> None:
    """Check that a document is an Item.

    Raises:
        SceneError: It is none; the error states what it is, or what is expected.
    """
    name = shown(uri) or "the document"
    if isinstance(head.type, str) and head.type in _KINDS:
        raise SceneError(f"{name} is {_KINDS[head.type]}")
    if head.type != "Feature" or not isinstance(head.stac_version, str):
        raise SceneError(
            f"{name} is no STAC Item (type Feature with a stac_version) and no JSON of the form "
            '{"files": […]} or {"bands": {…}}; give one of these'
        )


def _check_values(text: bytes, uri: str) -> None:
    """Refuse a document with too many values before it is parsed; each follows `,`, `[` or `{`."""
    count = sum(text.count(opening) for opening in (b",", b"[", b"{"))
    if count > MAX_DOCUMENT_VALUES:
        raise SceneError(
            f"{shown(uri)} has some {count:,} values; the document of a scene has at most "
            f"{MAX_DOCUMENT_VALUES:,}"
        )


def _too_large(uri: str, size: int) -> str:
    return (
        f"{shown(uri)} has {size / 2**20:.1f} MiB; the document of a scene has at most "
        f"{MAX_DOCUMENT_BYTES >> 20} MiB"
    )


def describe_malformed(uri: str, error: Exception) -> str:
    """Return the error message for a document that is no JSON, or has members of wrong types."""
    reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
    name = shown(uri) or "the Item"
    return f"{name} is not a valid document of a scene: {shown(reason)}; correct it"
