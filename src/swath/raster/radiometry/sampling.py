"""Samples of a scene's pixels: few, evenly spread, and the same ones however it is cut.

The samples lie on a lattice of the whole scene, and each of them belongs to the tile whose core
holds it. So the shards of a run take the samples that one process would have taken.
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
"""About the most samples of a scene."""


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """Pixels of a scene and their right-hand neighbours, in the unit of the model package."""

    values: NDArray[np.float32]
    """(bands, n); NaN where a band is not valid."""
    neighbours: NDArray[np.float32]
    """(bands, n), one px to the right; NaN also where the neighbour was not read."""

    @classmethod
    def none(cls, bands: int) -> Self:
        """Return no samples."""
        empty = np.empty((bands, 0), np.float32)
        return cls(empty, empty)

    @classmethod
    def join(cls, parts: Sequence[Samples], bands: int) -> Samples:
        """Return all samples of some parts of a scene."""
        parts = [part for part in parts if len(part)]
        if not parts:
            return cls.none(bands)
        return cls(
            np.concatenate([part.values for part in parts], axis=1),
            np.concatenate([part.neighbours for part in parts], axis=1),
        )

    def __len__(self) -> int:
        return int(self.values.shape[1])

    def complete(self) -> Samples:
        """Return the samples that are valid in every band."""
        return self._take(np.flatnonzero(~np.isnan(self.values).any(axis=0)))

    def sorted(self) -> Samples:
        """Return the samples in an order that follows from their numbers alone."""
        return self._take(np.lexsort((*self.neighbours, *self.values)))

    def _take(self, which: NDArray[Any]) -> Samples:
        return Samples(self.values[:, which], self.neighbours[:, which])

    def to_bytes(self) -> bytes:
        """Return the samples as the bytes of an NPY file."""
        file = io.BytesIO()
        np.save(file, np.stack([self.values, self.neighbours]), allow_pickle=False)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes, bands: int) -> Self:
        """Read what `to_bytes` returned.

        Raises:
            ValueError: the bytes are something else.
        """
        untyped: Any = np.lib.format
        found = untyped.read_array(io.BytesIO(data), allow_pickle=False)
        if found.dtype != np.float32 or found.shape[:2] != (2, bands) or found.ndim != 3:  # noqa: PLR2004
            raise ValueError(f"no samples of {bands} bands: {found.dtype} of shape {found.shape}")
        return cls(found[0], found[1])


@dataclass(frozen=True, slots=True)
class Lattice:
    """Where the samples of a scene lie: every so many px along both axes."""

    stride: int

    @classmethod
    def over(cls, width: int, height: int) -> Self:
        """Return the lattice of a scene, by its size in px."""
        return cls(max(1, math.ceil(math.sqrt(width * height / MAX_SAMPLES))))

    def take(
        self,
        pixels: NDArray[Any],
        valid: Mask | None,
        origin: tuple[int, int],
        core: tuple[int, int, int, int],
        convert: Conversion | None = None,
    ) -> Samples:
        """Take the samples of a part of the scene.

        Args:
            pixels: (bands, rows, cols) of a window, in the scene's numbers.
            valid: (rows, cols) or (bands, rows, cols), True = valid; None where every pixel is.
            origin: x and y of the window in the scene.
            core: x_min, y_min, x_max, y_max in the scene: only samples in it are taken.
            convert: brings the numbers to the unit wanted; None where they are in it.
        """
        x, y = origin
        x0, y0 = (-(-start // self.stride) * self.stride for start in core[:2])
        rows = slice(y0 - y, core[3] - y, self.stride)
        cols = slice(x0 - x, core[2] - x, self.stride)
        beside = slice(cols.start + 1, cols.stop + 1, self.stride)
        values = _known(pixels, valid, (rows, cols), convert)
        neighbours = np.full_like(values, np.nan)
        found = _known(pixels, valid, (rows, beside), convert)
        neighbours[:, :, : found.shape[2]] = found
        bands = len(pixels)
        values, neighbours = values.reshape(bands, -1), neighbours.reshape(bands, -1)
        some = ~np.isnan(values).all(axis=0)
        return Samples(values[:, some], neighbours[:, some])


def _known(
    pixels: NDArray[Any],
    valid: Mask | None,
    where: tuple[slice, slice],
    convert: Conversion | None,
) -> NDArray[np.float32]:
    """Copy some pixels; NaN where they are not valid or not finite."""
    chosen = pixels[:, *where]
    with np.errstate(over="ignore", invalid="ignore"):
        found = convert(chosen) if convert else chosen.astype(np.float32)
    found[~np.isfinite(found)] = np.nan
    if valid is not None:
        np.copyto(found, np.nan, where=~valid[..., *where])
    return found
