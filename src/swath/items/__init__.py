"""Read what a scene consists of: a STAC Item, a list of files, or a small JSON of names and URIs.

The room reads documents only, never pixels. It decides from the documents and the allowed sources
which files a run may open, before anything else is requested.
"""

from swath.items.documents import (
    is_scene_document,
    item_from_files,
    parse_item,
    read_item,
)
from swath.items.in_memory import item_from_dict, item_from_pystac
from swath.items.scene_item import ItemAsset, ItemBand, SceneItem, SelectedBand
from swath.items.selection import select_assets, selection_warnings, undescribed_asset
from swath.items.sources import SceneSources

__all__ = [
    "ItemAsset",
    "ItemBand",
    "SceneItem",
    "SceneSources",
    "SelectedBand",
    "is_scene_document",
    "item_from_dict",
    "item_from_files",
    "item_from_pystac",
    "parse_item",
    "read_item",
    "select_assets",
    "selection_warnings",
    "undescribed_asset",
]
