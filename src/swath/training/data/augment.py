"""Augment crops: flip, turn, zoom, and change their brightness.

Overhead imagery has no upward direction, so every flip and quarter turn of a scene is realistic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from swath.training.data.resize import Zoom

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.training.data.crop import Crop

Fraction = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0, le=2)]
Factor = Annotated[float, Meta(ge=0.25, le=4)]


class AugmentOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Options of augmentation. An amount of 0 turns a change off."""

    flips: bool = True
    """Whether to flip crops left to right and upside down, each with a probability of 0.5."""
    turns: bool = True
    """Whether to turn crops by 0 to 3 quarter turns; with `flips`, all eight symmetries are
    equally likely."""
    scale: tuple[Factor, Factor] = (0.8, 1.25)
    """Smallest and largest zoom factor."""
    scaled: Fraction = 0.5
    """Fraction of the crops that are zoomed."""
    gain: Amount = 0.1
    """Range of a factor for all bands, from exp(-gain) to exp(gain); simulates illumination."""
    band_gain: Amount = 0.05
    """Range of a factor for each band, from exp(-band_gain) to exp(band_gain); simulates the
    atmosphere."""
    shift: Amount = 0.05
    """Maximum offset that is added to or subtracted from all bands, in standard deviations of each
    band."""
    band_shift: Amount = 0.05
    """Maximum offset that is drawn for each band, in standard deviations of the band."""
    noise: Amount = 0.0
    """Standard deviation of the noise of each pixel, in standard deviations of its band."""

    def __post_init__(self) -> None:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale is {self.scale}; give the smallest factor first")

    def margin(self, size: int) -> int:
        """Return the margin in px that a crop of `size` px needs on each side for zooming out."""
        smallest = self.scale[0] if self.scaled else 1.0
        return max(0, math.ceil((size / smallest - size) / 2))

    @property
    def changes_values(self) -> bool:
        """True if augmentation changes pixel values."""
        return any((self.gain, self.band_gain, self.shift, self.band_shift, self.noise))


def augment(
    crop: Crop,
    options: AugmentOptions,
    rng: np.random.Generator,
    *,
    size: int | None = None,
    stddevs: Sequence[float] | None = None,
) -> Crop:
    """Return a randomly augmented crop, including its boxes, outlines and class map.

    Objects that reach beyond the edges of the result are clipped as `Objects.within` does it.

    Args:
        crop: Crop to augment, which is not changed.
        options: Options of augmentation.
        rng: Random number generator; the same state gives the same result.
        size: Side of the result in px, taken from the middle of the crop; by default, the crop's
            own size.
        stddevs: Standard deviation of each band; by default, that of the crop's valid pixels.

    Returns:
        The augmented crop. Its pixels are float32 if they were zoomed or their values changed, and
        have the crop's dtype otherwise.
    """
    result = _zoom(crop, options, rng, crop.size if size is None else size)
    result = _flip_and_turn(result, options, rng)
    if options.changes_values:
        return replace(result, pixels=_change_brightness(result, options, rng, stddevs))
    return result


def _zoom(crop: Crop, options: AugmentOptions, rng: np.random.Generator, size: int) -> Crop:
    is_scaled = rng.random() < options.scaled
    low, high = map(math.log, options.scale)
    factor = math.exp(rng.uniform(low, high)) if is_scaled else 1.0
    if factor == 1:
        return crop if size == crop.size else _crop_center(crop, size)
    zoom = Zoom(crop.size, size, factor)
    return replace(
        crop,
        pixels=zoom.resample_pixels(crop.pixels),
        valid=zoom.resample_mask(crop.valid),
        valid_bands=None if crop.valid_bands is None else zoom.resample_mask(crop.valid_bands),
        labels=None if crop.labels is None else zoom.resample_labels(crop.labels),
        objects=crop.objects.transform(zoom.transform_points).clip((0, 0, size, size)),
    )


def _crop_center(crop: Crop, size: int) -> Crop:
    start = (crop.size - size) // 2
    inner = slice(start, start + size)
    return replace(
        crop,
        pixels=crop.pixels[:, inner, inner],
        valid=crop.valid[inner, inner],
        valid_bands=None if crop.valid_bands is None else crop.valid_bands[:, inner, inner],
        labels=None if crop.labels is None else crop.labels[inner, inner],
        objects=crop.objects.transform(lambda points: points - start).clip((0, 0, size, size)),
    )


def _flip_and_turn(crop: Crop, options: AugmentOptions, rng: np.random.Generator) -> Crop:
    flip_x, flip_y = (rng.integers(2, size=2) * options.flips).tolist()
    quarters = int(rng.integers(4)) * options.turns
    if not (flip_x or flip_y or quarters):
        return crop

    def turn_layer(pixels: NDArray[Any]) -> NDArray[Any]:
        axes = [axis for axis, flipped in ((-1, flip_x), (-2, flip_y)) if flipped]
        return np.ascontiguousarray(np.rot90(np.flip(pixels, axes), quarters, axes=(-2, -1)))

    return replace(
        crop,
        pixels=turn_layer(crop.pixels),
        valid=turn_layer(crop.valid),
        valid_bands=None if crop.valid_bands is None else turn_layer(crop.valid_bands),
        labels=None if crop.labels is None else turn_layer(crop.labels),
        objects=crop.objects.transform(_point_transform(crop.size, (flip_x, flip_y), quarters)),
    )


def _point_transform(
    size: int, flips: tuple[int, int], quarters: int
) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    """Return a function that moves points (n, 2) as `np.flip` and `np.rot90` move pixels."""

    def transform(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = (size - axis if flip else axis for axis, flip in zip(points.T, flips, strict=True))
        for _ in range(quarters):
            x, y = y, size - x
        return np.stack([x, y], axis=1)

    return transform


def _change_brightness(
    crop: Crop,
    options: AugmentOptions,
    rng: np.random.Generator,
    stddevs: Sequence[float] | None,
) -> NDArray[np.float32]:
    pixels = crop.pixels.astype(np.float32)
    bands = len(pixels)
    factors = np.exp(
        _draw_uniform(rng, options.gain) + _draw_uniform(rng, options.band_gain, bands)
    )
    shifts = _draw_uniform(rng, options.shift) + _draw_uniform(rng, options.band_shift, bands)
    deviations = np.zeros(bands)
    if options.shift or options.band_shift or options.noise:
        deviations = (
            _band_stddevs(pixels, crop) if stddevs is None else np.asarray(stddevs, np.float64)
        )
    for band, factor, shift, deviation in zip(pixels, factors, shifts, deviations, strict=True):
        band *= np.float32(factor)  # noqa: PLW2901 (a view)
        band += np.float32(shift * deviation)  # noqa: PLW2901
        if options.noise:
            grain = rng.standard_normal(band.shape, np.float32)
            grain *= np.float32(options.noise * deviation)
            band += grain  # noqa: PLW2901
    return pixels


def _draw_uniform(rng: np.random.Generator, maximum: float, count: int = 1) -> NDArray[np.float64]:
    return np.asarray(rng.uniform(-maximum, maximum, count))


def _band_stddevs(pixels: NDArray[np.float32], crop: Crop) -> NDArray[np.float64]:
    mask = np.broadcast_to(crop.input_mask, pixels.shape)
    values = (band[valid] for band, valid in zip(pixels, mask, strict=True))
    deviations = np.array([np.std(v, dtype=np.float64) if v.size else 0.0 for v in values])
    return np.where(np.isfinite(deviations), deviations, 0.0)
