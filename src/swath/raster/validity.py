"""Decide which pixels are valid, band by band: nodata values, masks, alpha, NaN and infinity.

A model receives a number unless something in its file, or the mask next to it, marks it as invalid.
Where there is a mask, it decides whether a pixel as a whole is valid, as in GDAL: black need not be
nodata. A pixel with alpha 0 is invalid, even where GDAL would let a mask or a nodata value overrule
its alpha.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from rasterio.enums import MaskFlags

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Mask


@dataclass(frozen=True, slots=True, eq=False)
class Valid:
    """Validity of the pixels of a window."""

    pixels: Mask | None = None
    """Mask (rows, cols), True where any band is valid; None if every pixel is valid."""
    bands: Mask | None = None
    """Mask (bands, rows, cols), True = valid; None if all bands have the same mask, `pixels`."""

    @property
    def shown(self) -> Mask | None:
        """Mask of the numbers that a model receives; None if it receives all of them.

        Its shape can be broadcast to (bands, rows, cols).
        """
        return self.pixels if self.bands is None else self.bands

    def of_band(self, place: int, shape: tuple[int, int]) -> Mask:
        """Return the mask (rows, cols) of one band, True = valid.

        Args:
            place: Index of the band, from 0, among the bands that were read.
            shape: Rows and columns of the window.
        """
        if self.bands is not None:
            band: Mask = self.bands[place]
            return band
        return self.full(shape)

    def full(self, shape: tuple[int, int]) -> Mask:
        """Return `pixels`, or a mask of all True if it is None.

        Args:
            shape: Rows and columns of the window.
        """
        return np.ones(shape, np.bool_) if self.pixels is None else self.pixels


ALL_VALID = Valid()
"""Validity of a window in which every band of every pixel is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """Alpha band and masks of a file that apply to some of its bands."""

    alpha: int | None = None
    """Number of the alpha band, from 1."""
    masked: int | None = None
    """Number of a band, from 1, whose mask is shared by all bands."""
    own: tuple[int, ...] = ()
    """Numbers of all the bands, from 1, if any of them has a mask of its own; otherwise empty."""

    def __bool__(self) -> bool:
        return self.alpha is not None or self.masked is not None or bool(self.own)


def marks_of(
    flags: Sequence[Sequence[MaskFlags]], colours: Sequence[str | None], bands: Sequence[int]
) -> Marks:
    """Return the alpha band and the masks of a file that apply to some of its bands.

    Args:
        flags: GDAL's mask flags of each band of the file.
        colours: Color interpretation of each band of the file.
        bands: Numbers of the bands, from 1.
    """
    alpha = colours.index("alpha") + 1 if "alpha" in colours else None
    chosen = {band: flags[band - 1] for band in bands}
    shared = [
        band
        for band, of_band in chosen.items()
        if MaskFlags.per_dataset in of_band and not (MaskFlags.alpha in of_band and alpha)
    ]
    known = {MaskFlags.per_dataset, MaskFlags.all_valid, MaskFlags.nodata}
    apart = any(not known & set(of_band) for of_band in chosen.values())
    return Marks(
        alpha=alpha, masked=shared[0] if shared else None, own=tuple(bands) if apart else ()
    )


def combine(
    pixels: NDArray[Any],
    marks: Sequence[NDArray[Any]],
    nodata: Sequence[float | None],
    *,
    masked: bool,
) -> Valid:
    """Combine numbers, masks, alpha and nodata values to the validity of pixels.

    Args:
        pixels: Pixels (bands, rows, cols).
        marks: Masks and alpha bands, (rows, cols) or (bands, rows, cols) each; above 0 = valid.
        nodata: Nodata value of each band; None for bands without one.
        masked: Whether `marks` contains a mask. If so, the mask decides whether a pixel is valid,
            and a nodata value only invalidates its own band.
    """
    unreal = None if pixels.dtype.kind in "iu" else ~np.isfinite(pixels)
    if not masked:
        return _combined(pixels, _either(unreal, _lacking(pixels, nodata)), marks)
    valid = _combined(pixels, unreal, marks)
    lacking = _lacking(pixels, nodata)
    if lacking is None:
        return valid
    return Valid(valid.pixels, ~lacking if valid.shown is None else ~lacking & valid.shown)


def _combined(pixels: NDArray[Any], invalid: Mask | None, marks: Sequence[NDArray[Any]]) -> Valid:
    """Combine a mask of invalid numbers (bands, rows, cols), or None, with masks and alpha."""
    invalid = invalid if invalid is not None and invalid.any() else None
    shown = shown_by(marks)
    if shown is None:
        return ALL_VALID if invalid is None else _settled(invalid)
    if invalid is None and shown.ndim < pixels.ndim:
        return Valid(shown)
    hidden: Mask = np.broadcast_to(~shown, pixels.shape)
    return _settled(hidden if invalid is None else invalid | hidden)


def _either(one: Mask | None, other: Mask | None) -> Mask | None:
    if one is None or other is None:
        return one if other is None else other
    return one | other


def shown_by(marks: Sequence[NDArray[Any]]) -> Mask | None:
    """Return where all marks are above 0.

    Args:
        marks: Masks and alpha bands, (rows, cols) or (bands, rows, cols) each.

    Returns:
        Mask in the broadcast shape of the marks, True = valid; None if it is True everywhere.
    """
    shown: Mask | None = None
    for mark in marks:
        one = mark > 0
        shown = one if shown is None else shown & one
    return None if shown is None or shown.all() else shown


def is_nodata(pixels: NDArray[Any], nodata: float) -> Mask:
    """Return which pixels have the nodata value, in the shape of `pixels`.

    Floats are compared with a tolerance, as the decimals of a nodata value may round to another
    float than the pixels.
    """
    if not can_be(pixels.dtype, nodata):
        return np.zeros(pixels.shape, np.bool_)
    if pixels.dtype.kind in "iu":
        return np.asarray(pixels == int(nodata))
    if np.isnan(nodata):
        return np.asarray(np.isnan(pixels))
    real = np.finfo(pixels.dtype)
    # A nodata value is stored in decimals, which may not parse to the same float.
    tolerance = 4 * float(real.eps) * abs(nodata)
    if tolerance == 0 or abs(nodata) > float(real.max) + tolerance:
        return np.asarray(pixels == nodata)
    low = max(nodata - tolerance, float(real.min))
    high = min(nodata + tolerance, float(real.max))
    return np.asarray((pixels >= low) & (pixels <= high))


def can_be(dtype: np.dtype[Any], nodata: float) -> bool:
    """Return whether pixels of a type can have the nodata value."""
    if dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return limits.min <= nodata <= limits.max and float(nodata).is_integer()


def _lacking(pixels: NDArray[Any], nodata: Sequence[float | None]) -> Mask | None:
    """Return where bands have their nodata values, (bands, rows, cols); None if nowhere."""
    values = set(nodata)
    if values == {None}:
        return None
    if len(values) == 1:
        found = is_nodata(pixels, float(nodata[0] or 0))
    else:
        found = np.zeros(pixels.shape, np.bool_)
        for layer, band, own in zip(found, pixels, nodata, strict=True):
            if own is not None:
                layer[...] = is_nodata(band, own)
    return found if found.any() else None


def _settled(invalid: Mask) -> Valid:
    """Return the validity for a mask of invalid numbers, (bands, rows, cols).

    `Valid.bands` is None where all bands have the same mask.
    """
    nowhere = _all(invalid)
    count = np.count_nonzero(nowhere)
    pixels = ~nowhere if count else None
    if np.count_nonzero(invalid) == count * len(invalid):
        return Valid(pixels)
    return Valid(pixels, ~invalid)


def _all(layers: Mask) -> Mask:
    """Return where all layers are True; NumPy's own `all` is slow along a short axis."""
    result: Mask = layers[0].copy()
    for layer in layers[1:]:
        result &= layer
    return result
