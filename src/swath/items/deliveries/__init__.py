"""Read deliveries of many files: SAFE folders, Landsat bundles, Planet orders, and any folder."""

from swath.items.deliveries.kinds import choose_manifest, is_marker, is_raster, manifest_kind
from swath.items.deliveries.manifests import MAX_PARTS, Manifest, Part
from swath.items.deliveries.reading import (
    find_item,
    is_delivery,
    read_delivery,
    read_manifest,
)

__all__ = [
    "MAX_PARTS",
    "Manifest",
    "Part",
    "choose_manifest",
    "find_item",
    "is_delivery",
    "is_marker",
    "is_raster",
    "manifest_kind",
    "read_delivery",
    "read_manifest",
]
