"""Turn the argument of a command or a function into a scene: a file, a list of files or an Item."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from swath import storage
from swath.errors import SceneError
from swath.items.deliveries import is_delivery
from swath.items.documents import item_from_files, read_item
from swath.items.in_memory import item_from_dict, item_from_pystac
from swath.items.scene_item import SceneItem
from swath.items.sources import SceneSources
from swath.messages import is_document

if TYPE_CHECKING:
    import pystac

SceneArgument: TypeAlias = (
    "str | Path | Sequence[str | Path] | Mapping[str, Any] | pystac.Item | SceneItem"
)
"""Scene as a program names it: a file, a document, a list of files, or an Item."""


def as_item(scene: str | SceneItem) -> SceneItem | None:
    """Return the content of a scene of several files; None for the address of a single file."""
    return scene if isinstance(scene, SceneItem) else None


def parse_scene(scene: Any, sources: SceneSources) -> str | SceneItem:
    """Return the address of a scene of one file, or the content of any other scene.

    Args:
        scene: Path or URI of a file, of a document, or of a delivery (its folder or manifest); a
            list of files; or a STAC Item, from pystac or as parsed JSON.
        sources: Allowed sources of an Item's files, besides the folder of its document.

    Returns:
        The canonical address of the file, or the scene's files.

    Raises:
        SceneError: The document is missing, is none of a scene, or names no file that may be read.
        InputError: An address has a scheme that swath does not read.
    """
    match scene:
        case SceneItem():
            return scene
        case str() | Path():
            return _parse_address(str(scene), sources)
        case Mapping():
            return item_from_dict(dict(scene), _self_address(scene), sources)
        case Sequence():
            addresses = [str(one) for one in scene]
            if len(addresses) == 1:
                return _parse_address(addresses[0], sources)
            documents = [address for address in addresses if is_document(address)]
            if documents:
                raise SceneError(
                    f"{documents[0]} is one of several files of a scene; give a document alone"
                )
            return item_from_files([_resolve(address) for address in addresses], sources)
        case _ if hasattr(scene, "get_self_href"):
            return item_from_pystac(scene, sources)
    raise SceneError(
        f"a {type(scene).__name__} is no scene; give a path, a list of paths or a STAC Item"
    )


def _parse_address(address: str, sources: SceneSources) -> str | SceneItem:
    uri = _resolve(address)
    is_https = storage.is_https(uri)
    if is_document(uri) or (not is_https and is_delivery(uri)):
        # The user names this document, so it may be read wherever it lies.
        item = read_item(uri, sources.with_files([uri]) if is_https else sources)
        # The only file of a folder is a scene by itself: its own header names the bands.
        is_one_file = len(item.assets) == 1 and item.named_by_files and not is_document(uri)
        return item.assets[0].href if is_one_file else item
    sources.configure_access(uri)
    return uri


def _resolve(address: str) -> str:
    return storage.resolve(address, allow_https=True)


def _self_address(item: Mapping[str, Any]) -> str:
    """Return the address in an Item's self link; empty if it has none."""
    links = item.get("links")
    for link in links if isinstance(links, list) else []:
        if isinstance(link, Mapping) and link.get("rel") == "self":
            return str(link.get("href") or "")
    return ""
