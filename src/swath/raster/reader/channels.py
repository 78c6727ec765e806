"""Choose the layers to read of each pixel: the wanted bands, and those that mark valid pixels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from swath.raster.scene import FileScene


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """Layers of a block: the bands, then the alpha band and the mask (0 = not valid)."""

    bands: tuple[int, ...]
    """Numbers of the bands, from 1."""
    alpha_band: int | None = None
    """Number of the alpha band, from 1, which is the layer after the bands."""
    mask_band: int | None = None
    """Number of the band, from 1, whose mask within the file is the last layer."""

    @property
    def samples(self) -> tuple[int, ...]:
        """Numbers, from 1, of the bands whose pixels are read, including the alpha band."""
        return self.bands if self.alpha_band is None else (*self.bands, self.alpha_band)

    @property
    def layer_count(self) -> int:
        """Number of layers of a block."""
        return len(self.samples) + (self.mask_band is not None)


def select_channels(scene: FileScene, bands: Sequence[int]) -> Channels | None:
    """Return the layers from which the result of `FileScene.read_layers` can be computed.

    Args:
        scene: FileScene to read.
        bands: Numbers of the bands, from 1, in the order wanted.

    Returns:
        Layers of a block; None if bands have masks of their own, which no layers can express.
    """
    sources = scene.mask_sources(bands)
    if sources.per_band:
        return None
    return Channels(bands=tuple(bands), alpha_band=sources.alpha, mask_band=sources.shared)
