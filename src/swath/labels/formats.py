"""The formats of labels, by the names that options and settings use."""

from __future__ import annotations

from typing import Literal

Form = Literal["auto", "coco", "geojson", "spacenet"]
"""`auto` tells the format from the files."""
