"""Turn STAC Items that a program holds in memory into scenes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from swath.errors import SceneError
from swath.items.addresses import parse_address
from swath.items.documents import MAX_DOCUMENT_BYTES, check_kind, describe_malformed
from swath.items.scene_item import SceneItem
from swath.items.sources import SceneSources
from swath.items.stac_items import scene_from_stac
from swath.items.stac_types import DocumentHead, StacItem
from swath.items.versions import is_old, upgrade

_NO_SOURCES = SceneSources()


class _Identity(msgspec.Struct, frozen=True):
    id: str = ""
    collection: str | None = None


_IDENTITIES = msgspec.json.Decoder(_Identity)


def item_from_dict(
    data: dict[str, Any], base: str = "", sources: SceneSources = _NO_SOURCES
) -> SceneItem:
    """Return the scene of a STAC Item, as parsed JSON.

    Whoever wrote the Item wrote its self link as well. The folder of that address is therefore
    allowed only if it is a local file that has the same Item.

    Args:
        data: Item as parsed JSON; it is not modified.
        base: Address of its document, against which relative addresses are resolved. An address
            that swath does not read counts as none.
        sources: Allowed sources of the assets.

    Raises:
        SceneError: The data are no STAC Item; the error states why.
    """
    base = _usable(base)
    try:
        head = msgspec.convert(
            {name: data.get(name) for name in ("type", "stac_version")}, DocumentHead
        )
        check_kind(head, base)
        if is_old(head.stac_version):
            data = upgrade(data, base)
        item = msgspec.convert(data, StacItem)
    except (msgspec.ValidationError, UnicodeError, RecursionError) as error:
        raise SceneError(describe_malformed(base, error)) from None
    allowed = sources.with_folder(base) if _has_local_document(item, base) else sources
    return scene_from_stac(item, base, allowed, "")


def item_from_pystac(item: Any, sources: SceneSources = _NO_SOURCES) -> SceneItem:
    """Return the scene of a `pystac.Item`; pystac itself is not imported here.

    Args:
        item: The Item. Its self link, if any, is the address of its document.
        sources: Allowed sources of the assets; see `item_from_dict`.

    Raises:
        SceneError: The Item is no scene; the error states why.
    """
    return item_from_dict(item.to_dict(transform_hrefs=False), item.get_self_href() or "", sources)


def _usable(base: str) -> str:
    """Return an address, or an empty text for one that swath does not read."""
    try:
        return parse_address(base).text
    except SceneError:
        return ""


def _has_local_document(item: StacItem, base: str) -> bool:
    """Return whether there is a local document with the identity of an Item at an address."""
    if not base.startswith("/"):
        return False
    try:
        with Path(base).open("rb") as file:
            known = _IDENTITIES.decode(file.read(MAX_DOCUMENT_BYTES))
    except (OSError, msgspec.DecodeError, UnicodeError, RecursionError):
        return False
    return (known.id, known.collection) == (item.id, item.collection)
