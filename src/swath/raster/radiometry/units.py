"""Conversion of bands from the numbers of a scene to those that a model package expects.

Both say how a number becomes a physical quantity: the package in `mlm.json`, the scene by GDAL's
scale, offset and unit of each band (https://gdal.org/en/stable/user/raster_data_model.html). A
scene that says nothing is taken to be in the package's unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import SceneError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.raster.band_units import Unit, Units
    from swath.raster.scene_info import SceneInfo

_EXACT = float(np.finfo(np.float32).eps) / 4
"""Relative difference of two scales that no float32 can show."""
_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """Conversion of a scene's numbers to a package's: `(number - zero) * gain`, band by band.

    Numbers of 16 bits are converted in float32. The difference is exact there where the zero is a
    whole number, as in Sentinel-2's `number / 10000 - 0.1`. All others go through float64.
    """

    gains: NDArray[np.float64]
    """(bands,)."""
    zeros: NDArray[np.float64]
    """(bands,)."""

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return pixels in the package's unit; what is NaN or infinite stays so.

        Args:
            pixels: (bands, rows, cols), of any dtype and memory layout; not written to.

        Returns:
            An array of its own, of the same shape and memory layout.
        """
        out = np.empty_like(pixels, np.float32)
        small = pixels.dtype.kind in "iu" and pixels.dtype.itemsize < _FLOAT32_BYTES
        # What is not a number, or grows beyond float32, is for `pad` to fill.
        with np.errstate(over="ignore", invalid="ignore"):
            for target, band, gain, zero in zip(out, pixels, self.gains, self.zeros, strict=True):
                wide = np.float32 if small and np.float32(zero) == zero else np.float64
                numbers = np.subtract(band, wide(zero), dtype=wide)
                np.multiply(numbers, wide(gain), out=target, casting="same_kind")
        return out


def conversion(
    scene: SceneInfo, bands: Sequence[int], names: Sequence[str], units: Units
) -> Conversion | None:
    """Return how a scene's numbers become those of a package; None where they are the same.

    Args:
        scene: its header.
        bands: numbers of its bands, from 1, in the package's order.
        names: the bands' names in the package.
        units: those that the package states.

    Raises:
        SceneError: the scene states a scale or an offset that makes no number.
    """
    gains, zeros = np.ones(len(bands)), np.zeros(len(bands))
    for place, (number, name, unit) in enumerate(zip(bands, names, units, strict=True)):
        stated = scene.units[number - 1]
        if stated is None:
            continue
        if not stated.is_possible:
            raise SceneError(
                f"{scene.uri} states the scale {stated.scale:g} and the offset {stated.offset:g} "
                f"for its band {number} ({name}), which make no number; correct them with "
                "gdal_edit.py -scale and -offset"
            )
        if unit is not None:
            gains[place], zeros[place] = _between(stated, unit)
            if not _in_float32(gains[place], zeros[place]):
                raise SceneError(
                    f"{scene.uri} states {stated} for its band {number} ({name}), and the model "
                    f"expects {unit}: no float32 can hold such numbers; correct one of them"
                )
    if (gains == 1).all() and (zeros == 0).all():
        return None
    return Conversion(gains, zeros)


def unit_warnings(
    scene: SceneInfo, bands: Sequence[int], names: Sequence[str], units: Units
) -> list[str]:
    """Return what is odd about the units that a scene and a package state, a sentence each."""
    stated = [scene.units[number - 1] for number in bands]
    found = []
    if not any(units) and any(one and (one.scale, one.offset) != (1, 0) for one in stated):
        name, one = next(pair for pair in zip(names, stated, strict=True) if pair[1])
        found.append(
            f"{scene.uri} states a unit ({name}: {one}) and the model package none, so the numbers "
            "are taken as they are; add the package's with `swath model statistics --unit`"
        )
    for name, one, unit in zip(names, stated, units, strict=True):
        if one and unit and one.name and unit.name and not _same_quantity(one, unit):
            found.append(
                f"{name} of {scene.uri} is said to be in {one.name}, and the model expects "
                f"{unit.name}; check both"
            )
    if any(stated) and not all(stated):
        silent = [name for name, one in zip(names, stated, strict=True) if one is None]
        found.append(
            f"{scene.uri} states the unit of some bands, but not of {', '.join(silent)}, which are "
            "taken to be in the model's; state it for each of them"
        )
    return found


def _between(stated: Unit, unit: Unit) -> tuple[float, float]:
    """Return the gain and the zero from one unit to another; exactly 1 and 0 where they agree."""
    gain = stated.scale / unit.scale
    zero = (unit.offset - stated.offset) / stated.scale
    if abs(gain - 1) < _EXACT:
        gain = 1.0
    # Decimals such as -0.1 / 0.0001 miss the whole number that is meant by a rounding.
    near = round(zero) if isfinite(zero) else zero
    return gain, float(near) if abs(zero - near) <= 1e-12 * abs(zero) else zero


def _in_float32(gain: float, zero: float) -> bool:
    with np.errstate(over="ignore", under="ignore"):
        narrow = np.float32(gain)
        return bool(np.isfinite(narrow) and narrow != 0 and np.isfinite(np.float32(zero * gain)))


def _same_quantity(one: Unit, other: Unit) -> bool:
    names = {one.name.casefold(), other.name.casefold()}
    return len(names) == 1 or names <= _DIMENSIONLESS


_DIMENSIONLESS = {"1", "none", "reflectance", "unitless", "dimensionless"}
