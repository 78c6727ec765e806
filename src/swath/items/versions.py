"""Upgrade STAC Items that are older than 1.0.

From 1.0.0-beta.1 on, the members that swath reads have the names of 1.0. pystac renames those of
older Items; it is in the images that plan runs, and in the command's extra.
"""

from __future__ import annotations

import re
from typing import Any

from swath.errors import SceneError
from swath.items.addresses import shown

MAX_OLD_BYTES = 1 << 20
"""Maximum size in bytes of an old Item: pystac takes 100 times as much memory."""
_CURRENT = re.compile(r"1\.\d+\.\d+(-(beta|rc)\.\d+)?")


def is_old(version: Any) -> bool:
    """Return whether an Item of this version must be upgraded before it is read."""
    return not (isinstance(version, str) and _CURRENT.fullmatch(version))


def upgrade(data: dict[str, Any], uri: str) -> dict[str, Any]:
    """Return an old Item in the terms of the current version; `data` is not modified.

    Raises:
        SceneError: pystac is not installed, or cannot read the Item.
    """
    name, version = shown(uri) or "the Item", shown(str(data.get("stac_version")))
    if not version.startswith("0."):
        raise SceneError(
            f"{name} has the STAC version {version!r}, which swath does not read; give an Item of "
            "1.0 or 1.1"
        )
    try:
        from pystac import Item  # noqa: PLC0415 - heavy, and not installed everywhere
    except ImportError:
        raise SceneError(
            f"{name} has the STAC version {version}; install pystac to read it, or convert "
            "it to 1.0"
        ) from None
    try:
        item = Item.from_dict(data, migrate=True, preserve_dict=True)
        return item.to_dict(include_self_link=False, transform_hrefs=False)
    except Exception as error:  # noqa: BLE001 - pystac lets any error of its parsing pass
        raise SceneError(
            f"{name} has the STAC version {version}, and pystac cannot upgrade it: "
            f"{shown(f'{type(error).__name__}: {error}')}; convert it to 1.0"
        ) from None
