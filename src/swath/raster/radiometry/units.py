"""Convert the pixel values of a scene to the unit that a model package expects.

Both state how a pixel value becomes a physical quantity: the package in `mlm.json`, and the scene
by GDAL's scale, offset and unit of each band
(https://gdal.org/en/stable/user/raster_data_model.html). A scene that states nothing is assumed to
be in the package's unit.
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

_SCALE_TOLERANCE = float(np.finfo(np.float32).eps) / 4
"""Relative difference of two scales, below which they are the same in float32."""
_FLOAT32_BYTES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Conversion:
    """Conversion of a scene's pixel values to a package's: `(value - zero) * gain`, band by band.

    Integers of up to 16 bits are converted in float32 if float32 holds the zero exactly. The
    subtraction is exact if the zero is a whole number, as in Sentinel-2's `value / 10000 - 0.1`.
    All other pixel values are converted in float64.
    """

    gains: NDArray[np.float64]
    """Gain of each band, (bands,)."""
    zeros: NDArray[np.float64]
    """Pixel value of each band, (bands,), that becomes 0."""

    def __call__(self, pixels: NDArray[Any]) -> NDArray[np.float32]:
        """Return pixels in the package's unit; NaN and infinity are kept.

        Args:
            pixels: Pixels (bands, rows, cols), of any dtype and memory layout; not modified.

        Returns:
            New float32 array of the same shape and memory layout.
        """
        out = np.empty_like(pixels, np.float32)
        small = pixels.dtype.kind in "iu" and pixels.dtype.itemsize < _FLOAT32_BYTES
        # `pad` later fills values that are NaN or exceed float32.
        with np.errstate(over="ignore", invalid="ignore"):
            for target, band, gain, zero in zip(out, pixels, self.gains, self.zeros, strict=True):
                wide = np.float32 if small and np.float32(zero) == zero else np.float64
                differences = np.subtract(band, wide(zero), dtype=wide)
                np.multiply(differences, wide(gain), out=target, casting="same_kind")
        return out


def conversion(
    scene: SceneInfo, bands: Sequence[int], names: Sequence[str], units: Units
) -> Conversion | None:
    """Return the conversion of a scene's pixel values to a package's; None if they are the same.

    Args:
        scene: Header of the scene.
        bands: Numbers of the scene's bands, from 1, in the package's order.
        names: Names of the bands in the package.
        units: Units of the bands in the package.

    Raises:
        SceneError: The scene states an invalid scale or offset, or float32 cannot hold the
            converted values.
    """
    gains, zeros = np.ones(len(bands)), np.zeros(len(bands))
    for index, (number, name, unit) in enumerate(zip(bands, names, units, strict=True)):
        stated = scene.units[number - 1]
        if stated is None:
            continue
        if not stated.is_invertible:
            raise SceneError(
                f"{scene.uri} states the scale {stated.scale:g} and the offset {stated.offset:g} "
                f"for its band {number} ({name}), which give no number; correct them with "
                "gdal_edit.py -scale and -offset"
            )
        if unit is not None:
            gains[index], zeros[index] = _gain_and_zero(stated, unit)
            if not _in_float32(gains[index], zeros[index]):
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
    """Return warnings about the units that a scene and a package state.

    Args:
        scene: Header of the scene.
        bands: Numbers of the scene's bands, from 1, in the package's order.
        names: Names of the bands in the package.
        units: Units of the bands in the package.

    Returns:
        One sentence for each warning.
    """
    stated = [scene.units[number - 1] for number in bands]
    warnings = []
    if not any(units) and any(one and (one.scale, one.offset) != (1, 0) for one in stated):
        name, one = next(pair for pair in zip(names, stated, strict=True) if pair[1])
        warnings.append(
            f"{scene.uri} states a unit ({name}: {one}) and the model package none, so the pixel "
            "values are not converted; add the package's unit with `swath model statistics --unit`"
        )
    for name, one, unit in zip(names, stated, units, strict=True):
        if one and unit and one.name and unit.name and not _same_quantity(one, unit):
            warnings.append(
                f"{name} of {scene.uri} has the unit {one.name}, and the model expects "
                f"{unit.name}; check both"
            )
    if any(stated) and not all(stated):
        silent = [name for name, one in zip(names, stated, strict=True) if one is None]
        warnings.append(
            f"{scene.uri} states the unit of some bands, but not of {', '.join(silent)}, which are "
            "taken to be in the model's unit; state it for each of them"
        )
    return warnings


def _gain_and_zero(stated: Unit, unit: Unit) -> tuple[float, float]:
    """Return the gain and the zero of a conversion; exactly 1 and 0 if the units agree.

    Args:
        stated: Unit of the scene.
        unit: Unit of the package.
    """
    gain = stated.scale / unit.scale
    zero = (unit.offset - stated.offset) / stated.scale
    if abs(gain - 1) < _SCALE_TOLERANCE:
        gain = 1.0
    # Quotients of decimals, such as -0.1 / 0.0001, miss the intended whole number by rounding.
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
"""Names, in lower case, of units without a dimension, which are taken to be the same."""
