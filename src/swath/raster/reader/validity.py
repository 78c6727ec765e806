"""The layers that are read of each pixel: the bands asked for, and what marks them as valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.raster.scene import OpenScene


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The layers of a block: the bands, then those that say what is valid (not 0)."""

    bands: tuple[int, ...]
    """Numbered from 1."""
    alpha: int | None = None
    """The band that is the layer after the bands."""
    masked: int | None = None
    """The band whose mask, kept within the file, is the last layer."""

    @property
    def samples(self) -> tuple[int, ...]:
        """Numbers of the bands, from 1, whose pixels are read."""
        return self.bands if self.alpha is None else (*self.bands, self.alpha)

    @property
    def layers(self) -> int:
        """How many layers a block has."""
        return len(self.samples) + (self.masked is not None)


def wanted(scene: OpenScene, bands: Sequence[int]) -> Wanted | None:
    """Return the layers of a block that say what `OpenScene.read_layers` says; None: none can."""
    marks = scene.marks(bands)
    if marks.own:
        return None
    return Wanted(bands=tuple(bands), alpha=marks.alpha, masked=marks.masked)
