"""What is read of each pixel: the bands asked for, and what says whether it is valid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import MaskFlags

from swath.scene import OpenScene, is_nodata

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.dataset import Mask

_ALPHA_DTYPES = {"uint8", "uint16"}
"""Of an alpha band that GDAL gives out as a mask without a change to which of it is 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The layers of a block: the bands, then at most one that says what is valid (not 0)."""

    bands: tuple[int, ...]
    """Numbered from 1."""
    alpha: int | None = None
    """The band that is the last layer."""
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

    @property
    def marked(self) -> bool:
        """Whether the last layer says what is valid."""
        return self.alpha is not None or self.masked is not None


def wanted(scene: OpenScene, bands: Sequence[int]) -> Wanted:
    """The layers to read of a scene, so that its pixels are valid where `OpenScene.read` says."""
    if scene.mask is None:
        for band in bands:
            flags = scene.dataset.mask_flags[band - 1]
            if MaskFlags.per_dataset not in flags:
                continue
            if MaskFlags.alpha in flags and (alpha := _alpha(scene)):
                return Wanted(bands=tuple(bands), alpha=alpha)
            return Wanted(bands=tuple(bands), masked=band)
    return Wanted(bands=tuple(bands))


def _alpha(scene: OpenScene) -> int | None:
    """The number of the one alpha band."""
    found = [number for number, colour in enumerate(scene.info.colours, 1) if colour == "alpha"]
    return found[0] if len(found) == 1 and scene.info.dtype in _ALPHA_DTYPES else None


class Validity:
    """Which pixels of a tile are valid: what `OpenScene.read` says, told without a loss of time."""

    def __init__(self, scene: OpenScene, bands: Sequence[int]) -> None:
        self._floating = scene.info.dtype.startswith("float")
        flags = [scene.dataset.mask_flags[band - 1] for band in bands]
        nodata = [scene.info.nodata[band - 1] for band in bands]
        self._nodata = [
            value if MaskFlags.nodata in flag else None
            for flag, value in zip(flags, nodata, strict=True)
        ]
        self.known = all(
            MaskFlags.all_valid in flag
            or MaskFlags.per_dataset in flag
            or (MaskFlags.nodata in flag and value is not None)
            for flag, value in zip(flags, nodata, strict=True)
        )
        """Whether it can be told from the pixels and one mask for all bands."""

    def __call__(self, pixels: NDArray[Any], mark: NDArray[Any] | None) -> Mask | None:
        """Which pixels are valid.

        Args:
            pixels: (bands, rows, cols).
            mark: (rows, cols), not 0 where all bands are valid; None lets nodata values decide.

        Returns:
            (rows, cols), True = valid; None where every pixel is.
        """
        if mark is not None:
            valid = mark != 0
            if self._floating:
                valid &= ~_all(~np.isfinite(pixels))
        else:
            invalid = self._invalid(pixels)
            if invalid is None:
                return None
            valid = ~_all(invalid)
        return None if valid.all() else valid

    def _invalid(self, pixels: NDArray[Any]) -> Mask | None:
        """Which pixels of each band are not valid; None where all are."""
        invalid = ~np.isfinite(pixels) if self._floating else None
        values = set(self._nodata)
        if len(values) == 1:
            (value,) = values
            if value is not None:
                found = is_nodata(pixels, value)
                invalid = found if invalid is None else invalid | found
        else:
            invalid = np.zeros(pixels.shape, np.bool_) if invalid is None else invalid
            for layer, band, own in zip(invalid, pixels, self._nodata, strict=True):
                if own is not None:
                    layer |= is_nodata(band, own)  # noqa: PLW2901 (a view)
        return invalid if invalid is not None and invalid.any() else None


def _all(layers: Mask) -> Mask:
    """Where all layers are True. NumPy's own `all` is slow along an axis of a few."""
    result: Mask = layers[0].copy()
    for layer in layers[1:]:
        result &= layer
    return result
