"""Decide which pixels are valid, band by band: nodata values, masks, alpha, NaN and infinity.

A model receives every pixel value that neither the scene's file nor the mask next to it marks as
invalid. Where there is a mask, the mask decides whether a pixel as a whole is valid, as in GDAL. A
nodata value then only invalidates its own band. A pixel with alpha 0 is invalid, even where GDAL
would let a mask or a nodata value overrule its alpha.
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
class Validity:
    """Validity of the pixels of a window."""

    pixels: Mask | None = None
    """Mask (rows, cols), True where any band is valid; None if every pixel is valid."""
    bands: Mask | None = None
    """Mask (bands, rows, cols), True = valid; None if all bands have the same mask, `pixels`."""

    @property
    def input_mask(self) -> Mask | None:
        """Mask of the pixel values that a model receives; None if it receives all of them.

        Its shape can be broadcast to (bands, rows, cols).
        """
        return self.pixels if self.bands is None else self.bands

    def band_mask(self, index: int, shape: tuple[int, int]) -> Mask:
        """Return the mask (rows, cols) of one band, True = valid.

        Args:
            index: Index of the band, from 0, among the bands that were read.
            shape: Rows and columns of the window.
        """
        if self.bands is not None:
            band: Mask = self.bands[index]
            return band
        return self.pixel_mask(shape)

    def pixel_mask(self, shape: tuple[int, int]) -> Mask:
        """Return `pixels`, or a mask of all True if it is None.

        Args:
            shape: Rows and columns of the window.
        """
        return np.ones(shape, np.bool_) if self.pixels is None else self.pixels

    def crop(self, rows: slice, cols: slice) -> Validity:
        """Return the validity of some rows and columns of the window."""
        return Validity(
            None if self.pixels is None else self.pixels[rows, cols],
            None if self.bands is None else self.bands[:, rows, cols],
        )

    def paste(self, rows: slice, cols: slice, shape: tuple[int, int]) -> Validity:
        """Return the validity of a larger window that is valid everywhere else.

        Args:
            rows: Rows of the larger window that this one covers.
            cols: Columns that it covers.
            shape: Rows and columns of the larger window.
        """

        def paste(mask: Mask | None) -> Mask | None:
            if mask is None:
                return None
            larger = np.ones((*mask.shape[:-2], *shape), np.bool_)
            larger[..., rows, cols] = mask
            return larger

        return Validity(paste(self.pixels), paste(self.bands))


ALL_VALID = Validity()
"""Validity of a window in which every band of every pixel is valid."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskSources:
    """Alpha band and masks of a file that apply to some of its bands."""

    alpha: int | None = None
    """Number of the alpha band, from 1."""
    shared: int | None = None
    """Number of a band, from 1, whose mask is shared by all bands."""
    per_band: tuple[int, ...] = ()
    """Numbers of all the bands, from 1, if any of them has a mask of its own; otherwise empty."""

    def __bool__(self) -> bool:
        return self.alpha is not None or self.shared is not None or bool(self.per_band)


def select_mask_sources(
    flags: Sequence[Sequence[MaskFlags]], colors: Sequence[str | None], bands: Sequence[int]
) -> MaskSources:
    """Return the alpha band and the masks of a file that apply to some of its bands.

    Args:
        flags: GDAL's mask flags of each band of the file.
        colors: Color interpretation of each band of the file.
        bands: Numbers of the bands, from 1.
    """
    alpha = colors.index("alpha") + 1 if "alpha" in colors else None
    chosen = {band: flags[band - 1] for band in bands}
    shared = [
        band
        for band, band_flags in chosen.items()
        if MaskFlags.per_dataset in band_flags and not (MaskFlags.alpha in band_flags and alpha)
    ]
    known = {MaskFlags.per_dataset, MaskFlags.all_valid, MaskFlags.nodata}
    has_own_masks = any(not known & set(band_flags) for band_flags in chosen.values())
    return MaskSources(
        alpha=alpha,
        shared=shared[0] if shared else None,
        per_band=tuple(bands) if has_own_masks else (),
    )


def combine(
    pixels: NDArray[Any],
    masks: Sequence[NDArray[Any]],
    nodata: Sequence[float | None],
    *,
    masked: bool,
) -> Validity:
    """Compute the validity of pixels from their values, masks, alpha and nodata values.

    Args:
        pixels: Pixels (bands, rows, cols).
        masks: Masks and alpha bands, (rows, cols) or (bands, rows, cols) each; above 0 = valid.
        nodata: Nodata value of each band; None for bands without one.
        masked: Whether `masks` contains a mask. If so, the mask decides whether a pixel is valid,
            and a nodata value only invalidates its own band.
    """
    not_finite = None if pixels.dtype.kind in "iu" else ~np.isfinite(pixels)
    if not masked:
        return _combine(pixels, _union(not_finite, _nodata_mask(pixels, nodata)), masks)
    valid = _combine(pixels, not_finite, masks)
    is_missing = _nodata_mask(pixels, nodata)
    if is_missing is None:
        return valid
    return Validity(
        valid.pixels, ~is_missing if valid.input_mask is None else ~is_missing & valid.input_mask
    )


def _combine(pixels: NDArray[Any], invalid: Mask | None, masks: Sequence[NDArray[Any]]) -> Validity:
    """Combine a mask of invalid values (bands, rows, cols), or None, with masks and alpha."""
    invalid = invalid if invalid is not None and invalid.any() else None
    valid_mask = combine_masks(masks)
    if valid_mask is None:
        return ALL_VALID if invalid is None else _from_invalid(invalid)
    if invalid is None and valid_mask.ndim < pixels.ndim:
        return Validity(valid_mask)
    hidden: Mask = np.broadcast_to(~valid_mask, pixels.shape)
    return _from_invalid(hidden if invalid is None else invalid | hidden)


def _union(one: Mask | None, other: Mask | None) -> Mask | None:
    if one is None or other is None:
        return one if other is None else other
    return one | other


def combine_masks(masks: Sequence[NDArray[Any]]) -> Mask | None:
    """Return where all masks are above 0.

    Args:
        masks: Masks and alpha bands, (rows, cols) or (bands, rows, cols) each.

    Returns:
        Mask in the broadcast shape of the masks, True = valid; None if it is True everywhere.
    """
    valid_mask: Mask | None = None
    for mask in masks:
        one = mask > 0
        valid_mask = one if valid_mask is None else valid_mask & one
    return None if valid_mask is None or valid_mask.all() else valid_mask


def is_nodata(pixels: NDArray[Any], nodata: float) -> Mask:
    """Return which pixels have the nodata value, in the shape of `pixels`.

    Floats are compared with a tolerance.
    """
    if not can_hold(pixels.dtype, nodata):
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


def can_hold(dtype: np.dtype[Any], nodata: float) -> bool:
    """Return whether pixels of a type can have the nodata value."""
    if dtype.kind not in "iu":
        return True
    limits = np.iinfo(dtype)
    return limits.min <= nodata <= limits.max and float(nodata).is_integer()


def _nodata_mask(pixels: NDArray[Any], nodata: Sequence[float | None]) -> Mask | None:
    """Return where bands have their nodata values, (bands, rows, cols); None if none has."""
    values = set(nodata)
    if values == {None}:
        return None
    if len(values) == 1:
        nodata_mask = is_nodata(pixels, float(nodata[0] or 0))
    else:
        nodata_mask = np.zeros(pixels.shape, np.bool_)
        for layer, band, own in zip(nodata_mask, pixels, nodata, strict=True):
            if own is not None:
                layer[...] = is_nodata(band, own)
    return nodata_mask if nodata_mask.any() else None


def _from_invalid(invalid: Mask) -> Validity:
    """Return the validity for a mask of invalid values, (bands, rows, cols).

    `Validity.bands` is None where all bands have the same mask.
    """
    all_invalid = _all_layers(invalid)
    count = np.count_nonzero(all_invalid)
    pixels = ~all_invalid if count else None
    if np.count_nonzero(invalid) == count * len(invalid):
        return Validity(pixels)
    return Validity(pixels, ~invalid)


def _all_layers(layers: Mask) -> Mask:
    """Return where all layers are True; NumPy's own `all` is slow along a short axis."""
    result: Mask = layers[0].copy()
    for layer in layers[1:]:
        result &= layer
    return result
