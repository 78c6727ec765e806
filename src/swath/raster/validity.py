"""Which pixels of a scene are valid, band by band: nodata values, masks, alpha, NaN and infinity.

A number is shown to a model where nothing in or beside its file says that it is none. Of a pixel as
a whole a mask, where there is one, has the last word, as in GDAL: black need not be nodata. What an
alpha band hides is hidden, also where GDAL would have a mask or a nodata value overrule it.
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
    """The valid pixels of a window."""

    pixels: Mask | None = None
    """(rows, cols), True where any band is valid; None where every pixel is."""
    bands: Mask | None = None
    """(bands, rows, cols), True = valid; None where all bands are valid where `pixels` is."""

    @property
    def shown(self) -> Mask | None:
        """What a model is shown, to be broadcast to (bands, rows, cols); None where all is."""
        return self.pixels if self.bands is None else self.bands

    def of_band(self, place: int, shape: tuple[int, int]) -> Mask:
        """Return (rows, cols) of one band, by its place among those that were read."""
        if self.bands is not None:
            band: Mask = self.bands[place]
            return band
        return self.full(shape)

    def full(self, shape: tuple[int, int]) -> Mask:
        """Return `pixels`, written out where it is None."""
        return np.ones(shape, np.bool_) if self.pixels is None else self.pixels


ALL_VALID = Valid()


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    """What marks pixels of some bands of one file as valid, beside their own numbers."""

    alpha: int | None = None
    """The number of the alpha band."""
    masked: int | None = None
    """A band whose mask is that of all bands."""
    own: tuple[int, ...] = ()
    """The bands, all of them, if any of them has a mask of its own."""

    def __bool__(self) -> bool:
        return self.alpha is not None or self.masked is not None or bool(self.own)


def marks_of(
    flags: Sequence[Sequence[MaskFlags]], colours: Sequence[str | None], bands: Sequence[int]
) -> Marks:
    """Return what marks the pixels of bands.

    Args:
        flags: GDAL's for the mask of each band of the file.
        colours: of each band.
        bands: numbers of the bands, from 1.
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
    """Tell which pixels are valid, without a pass more than the file's own marks need.

    Args:
        pixels: (bands, rows, cols).
        marks: masks and alpha bands, (rows, cols) or (bands, rows, cols); above 0 = valid.
        nodata: the nodata value of each band; None where it has none.
        masked: whether there is a mask among the marks. Then a pixel is valid where it says so, and
            a nodata value only hides its own band.
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
    """Join what the numbers say with what the marks say."""
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
    """Return where all marks are above 0, as wide as the widest of them; None where all are."""
    shown: Mask | None = None
    for mark in marks:
        one = mark > 0
        shown = one if shown is None else shown & one
    return None if shown is None or shown.all() else shown


def is_nodata(pixels: NDArray[Any], nodata: float) -> Mask:
    """Which pixels have the nodata value, as near as their type and its decimals can tell."""
    if not can_be(pixels.dtype, nodata):
        return np.zeros(pixels.shape, np.bool_)
    if pixels.dtype.kind in "iu":
        return np.asarray(pixels == int(nodata))
    if np.isnan(nodata):
        return np.asarray(np.isnan(pixels))
    real = np.finfo(pixels.dtype)
    # A nodata value is written in decimals, which may not give back the very same float.
    tolerance = 4 * float(real.eps) * abs(nodata)
    if tolerance == 0 or abs(nodata) > float(real.max) + tolerance:
        return np.asarray(pixels == nodata)
    low = max(nodata - tolerance, float(real.min))
    high = min(nodata + tolerance, float(real.max))
    return np.asarray((pixels >= low) & (pixels <= high))


def can_be(dtype: np.dtype[Any], nodata: float) -> bool:
    """Whether pixels of that type can have the nodata value."""
    if dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return limits.min <= nodata <= limits.max and float(nodata).is_integer()


def _lacking(pixels: NDArray[Any], nodata: Sequence[float | None]) -> Mask | None:
    """Return where bands have their nodata values, (bands, rows, cols); None where none does."""
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
    """Say it by the pixel where the bands agree."""
    nowhere = _all(invalid)
    count = np.count_nonzero(nowhere)
    pixels = ~nowhere if count else None
    if np.count_nonzero(invalid) == count * len(invalid):
        return Valid(pixels)
    return Valid(pixels, ~invalid)


def _all(layers: Mask) -> Mask:
    """Where all layers are True. NumPy's own `all` is slow along an axis of a few."""
    result: Mask = layers[0].copy()
    for layer in layers[1:]:
        result &= layer
    return result
