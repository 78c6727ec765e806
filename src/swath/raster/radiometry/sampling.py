"""Sample a scene's pixels: few, evenly spread, and independent of its division into shards.

The samples lie on a grid over the whole scene, and the owner of a sample is the tile whose core
contains it. So the shards of a run together take the same samples as a single process.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Mask
    from swath.raster.radiometry.units import Conversion

MAX_SAMPLES = 16_384
"""Approximate largest number of samples of a scene."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Pixels of a scene and their right-hand neighbors, in the unit of the model package."""

    values: NDArray[np.float32]
    """Values of the pixels, (bands, n); NaN where a band is not valid."""
    neighbors: NDArray[np.float32]
    """Values one px to the right, (bands, n); NaN where not valid or not read."""

    @classmethod
    def empty(cls, bands: int) -> Self:
        """Return an empty set of samples."""
        empty = np.empty((bands, 0), np.float32)
        return cls(empty, empty)

    @classmethod
    def concatenate(cls, parts: Sequence[Samples], bands: int) -> Samples:
        """Concatenate the samples of the parts of a scene.

        Args:
            parts: Samples of each part.
            bands: Number of bands.
        """
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.empty(bands)
        return cls(
            np.concatenate([part.values for part in parts], axis=1),
            np.concatenate([part.neighbors for part in parts], axis=1),
        )

    def __len__(self) -> int:
        return int(self.values.shape[1])

    def complete(self) -> Samples:
        """Return the samples that are valid in every band."""
        return self._take(np.flatnonzero(~np.isnan(self.values).any(axis=0)))

    def sorted(self) -> Samples:
        """Return the samples in an order that depends on their values only."""
        return self._take(np.lexsort((*self.neighbors, *self.values)))

    def _take(self, which: NDArray[Any]) -> Samples:
        return Samples(self.values[:, which], self.neighbors[:, which])

    def to_bytes(self) -> bytes:
        """Return the samples as the bytes of an NPY file."""
        file = io.BytesIO()
        np.save(file, np.stack([self.values, self.neighbors]), allow_pickle=False)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, bands: int) -> Self:
        """Restore samples from the bytes that `to_bytes` returned.

        Raises:
            ValueError: The bytes are not samples of `bands` bands.
        """
        untyped: Any = np.lib.format
        arrays = untyped.read_array(io.BytesIO(data), allow_pickle=False)
        if arrays.dtype != np.float32 or arrays.shape[:2] != (2, bands) or arrays.ndim != 3:  # noqa: PLR2004
            raise ValueError(
                f"not samples of {bands} bands: {arrays.dtype} of shape {arrays.shape}"
            )
        return cls(arrays[0], arrays[1])


@dataclass(frozen=True, slots=True)
class SampleGrid:
    """Grid of the samples of a scene."""

    stride: int
    """Distance in px between samples, along both axes."""

    @classmethod
    def for_scene(cls, width: int, height: int) -> Self:
        """Return the grid of a scene whose width and height are in px."""
        return cls(max(1, math.ceil(math.sqrt(width * height / MAX_SAMPLES))))

    def sample(
        self,
        pixels: NDArray[Any],
        valid: Mask | None,
        origin: tuple[int, int],
        core: tuple[int, int, int, int],
        convert: Conversion | None = None,
    ) -> Samples:
        """Take the samples of a part of the scene.

        Args:
            pixels: Pixels (bands, rows, cols) of a window, in the scene's unit.
            valid: Mask (rows, cols) or (bands, rows, cols), True = valid; None if every pixel is
                valid.
            origin: Upper left corner x, y of the window in scene px.
            core: Bounds x_min, y_min, x_max, y_max in scene px, within which samples are taken.
            convert: Conversion of the pixel values to the unit wanted; None if they have that unit.
        """
        x, y = origin
        x0, y0 = (-(-start // self.stride) * self.stride for start in core[:2])
        rows = slice(y0 - y, core[3] - y, self.stride)
        cols = slice(x0 - x, core[2] - x, self.stride)
        beside = slice(cols.start + 1, cols.stop + 1, self.stride)
        values = _copy_converted(pixels, valid, (rows, cols), convert)
        neighbors = np.full_like(values, np.nan)
        next_values = _copy_converted(pixels, valid, (rows, beside), convert)
        neighbors[:, :, : next_values.shape[2]] = next_values
        bands = len(pixels)
        values, neighbors = values.reshape(bands, -1), neighbors.reshape(bands, -1)
        some = ~np.isnan(values).all(axis=0)
        return Samples(values[:, some], neighbors[:, some])


def _copy_converted(
    pixels: NDArray[Any],
    valid: Mask | None,
    where: tuple[slice, slice],
    convert: Conversion | None,
) -> NDArray[np.float32]:
    """Copy and convert some pixels; NaN where they are not valid or not finite.

    Args:
        pixels: Pixels (bands, rows, cols).
        valid: Mask (rows, cols) or (bands, rows, cols), True = valid; None if every pixel is valid.
        where: Rows and columns to copy.
        convert: Conversion of the pixel values to the unit wanted; None if they have that unit.
    """
    chosen = pixels[:, *where]
    with np.errstate(over="ignore", invalid="ignore"):
        converted = convert(chosen) if convert else chosen.astype(np.float32)
    converted[~np.isfinite(converted)] = np.nan
    if valid is not None:
        np.copyto(converted, np.nan, where=~valid[..., *where])
    return converted
