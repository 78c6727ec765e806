"""The unit of a band, as a scene's header or a model package states it."""

from __future__ import annotations

from math import isfinite

import msgspec


class Unit(msgspec.Struct, frozen=True):
    """Unit of a band: `number * scale + offset` is the physical quantity."""

    name: str = ""
    """Unit of the physical quantity: `reflectance`, `kelvin`, `dB` …; empty where not given."""
    scale: float = 1.0
    offset: float = 0.0

    @property
    def is_possible(self) -> bool:
        """Whether the scale and the offset bring numbers to a quantity and back."""
        return self.scale != 0 and isfinite(self.scale) and isfinite(self.offset)

    def __str__(self) -> str:
        name = f"{self.name}, " if self.name else ""
        return f"{name}scale {self.scale:.10g}, offset {self.offset:.10g}"


Units = tuple[Unit | None, ...]
"""The unit of each band; None where nothing is stated."""


def stated_unit(name: str | None, scale: float, offset: float) -> Unit | None:
    """Return what a header states of a band's unit; None where it has but GDAL's defaults."""
    name = (name or "").strip()
    if not name and (scale, offset) == (1.0, 0.0):
        return None
    return Unit(name=name, scale=scale, offset=offset)
