"""Hold the unit of a band, as a scene's header or a model package states it."""

from __future__ import annotations

from math import isfinite

import msgspec

from swath.items.scene_item import ItemBand


class Unit(msgspec.Struct, frozen=True):
    """Unit of a band: `value * scale + offset` is the physical quantity."""

    name: str = ""
    """Unit of the physical quantity: `reflectance`, `kelvin`, `dB` …; empty where not given."""
    scale: float = 1.0
    """Factor from the band's pixel values to the quantity."""
    offset: float = 0.0
    """Value of the quantity where the pixel value is 0."""

    @property
    def is_invertible(self) -> bool:
        """Whether pixel values can be converted to the quantity and back."""
        return self.scale != 0 and isfinite(self.scale) and isfinite(self.offset)

    def __str__(self) -> str:
        name = f"{self.name}, " if self.name else ""
        return f"{name}scale {self.scale:.10g}, offset {self.offset:.10g}"


Units = tuple[Unit | None, ...]
"""Unit of each band; None where no unit is stated."""


def item_unit(band: ItemBand) -> Unit | None:
    """Return the unit of a band that an Item states; None where the Item states none."""
    scale = 1.0 if band.scale is None else band.scale
    return stated_unit(band.unit, scale, band.offset or 0.0)


def choose_unit(header: Unit | None, item: Unit | None) -> tuple[Unit | None, str]:
    """Return the unit of a band of which its file and its Item may state two.

    The header of the file decides, since the file's ETag pins it together with the pixel values.

    Args:
        header: Unit in the file's header.
        item: Unit in the Item.

    Returns:
        The unit, and a contradiction as the end of a sentence; an empty text if there is none.
    """
    if header is None or item is None:
        return header or item, ""
    if (header.scale, header.offset) == (item.scale, item.offset):
        return header, ""
    return header, f"states {header} in its file and {item} in its Item; the file's are used"


def stated_unit(name: str | None, scale: float, offset: float) -> Unit | None:
    """Return the unit of a band in a header; None where the header has only GDAL's defaults."""
    name = (name or "").strip()
    if not name and (scale, offset) == (1.0, 0.0):
        return None
    return Unit(name=name, scale=scale, offset=offset)
