"""Recognize by their names the files that say what a delivery consists of, or that it is complete.

This module imports nothing of the parsers, since it is called for each file of each delivery.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from enum import StrEnum

_LANDSAT = re.compile(r"L[A-Z]\d\d_[^/]*_MTL\.(txt|json|xml)", re.IGNORECASE)
_LANDSAT_ORDER = ("txt", "json", "xml")
_RASTER_SUFFIXES = (".tif", ".tiff", ".jp2", ".j2k", ".ntf", ".nitf")


class DeliveryKind(StrEnum):
    """Kind of a delivery, by its manifest."""

    SAFE = "safe"
    """Folder in ESA's format SAFE, with `manifest.safe`."""
    LANDSAT = "landsat"
    """Bundle of the USGS, with `*_MTL.txt`, `.json` or `.xml`."""
    PLANET = "planet"
    """Order of Planet, with `manifest.json`."""


def manifest_kind(path: str) -> DeliveryKind | None:
    """Return the kind of the manifest that a file is by its name; None if it is none."""
    name = path.rpartition("/")[2]
    if name.lower() == "manifest.safe":
        return DeliveryKind.SAFE
    if _LANDSAT.fullmatch(name):
        return DeliveryKind.LANDSAT
    return DeliveryKind.PLANET if name == "manifest.json" else None


def is_marker(path: str) -> bool:
    """Return whether a file states by its name that a delivery is complete."""
    name = path.rpartition("/")[2]
    return name == "_SUCCESS" or name.lower().endswith(".done")


def is_raster(path: str) -> bool:
    """Return whether a file is a raster file by its name."""
    return path.lower().endswith(_RASTER_SUFFIXES)


def choose_manifest(paths: Iterable[str]) -> str:
    """Return the manifest among the files of a folder; empty if there is none.

    Args:
        paths: Paths of the files relative to the folder. Manifests in subfolders do not count.
    """
    ranks = {path: _rank(path) for path in paths if "/" not in path and manifest_kind(path)}
    return min(ranks, key=lambda path: (ranks[path], path), default="")


def _rank(path: str) -> tuple[int, int]:
    kind = list(DeliveryKind).index(manifest_kind(path) or DeliveryKind.PLANET)
    suffix = path.rpartition(".")[2].lower()
    order = _LANDSAT_ORDER.index(suffix) if suffix in _LANDSAT_ORDER else 0
    return kind, order
