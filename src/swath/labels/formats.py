"""Define the names of the label formats that options and settings accept."""

from __future__ import annotations

from typing import Literal

LabelFormat = Literal["auto", "coco", "geojson", "spacenet"]
"""Name of a label format; `auto` detects the format from the files."""
