"""Compute statistics of a collection's bands in one pass over the pixels.

Values are counted in bins, so each band takes at most 2 MiB for any number of pixels. Counts of
several scenes can be merged.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import LabelsError
from swath.raster.band_units import Units
from swath.raster.radiometry.units import Conversion, conversion
from swath.raster.scene import Scene
from swath.raster.scene_info import PixelWindow
from swath.resource_limits import available_cpus
from swath.training.data.model_scenes import ModelScene, read_model_scenes
from swath.training.data.window_cache import common_dtype, window_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.raster.assets.stack import BandNeeds

PERCENTILES = (1, 2, 5, 25, 50, 75, 95, 98, 99)
"""Percentiles that are computed."""
_MAX_WINDOW_BYTES = 32 << 20
"""Maximum size in bytes of a scene that is read as a single window."""
_BIN_BITS = 18
"""Number of leading bits of a float32 that select its bin.

They are the sign, the exponent and 9 bits of the fraction, so bins are 0.2% wide.
"""
_DROPPED_BITS = 32 - _BIN_BITS
"""Number of trailing bits of a float32 that its bin ignores."""
_SIGN_BIT = np.uint32(1 << 31)
"""Sign bit of a float32."""
_MAX_EXACT_BITS = 16
"""Maximum number of bits of an integer type with a bin for each value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BandStatistics:
    """Statistics of one band over the valid pixels of a collection."""

    name: str
    """Name of the band."""
    mean: float
    stddev: float
    """Standard deviation."""
    minimum: float
    maximum: float
    percentiles: dict[int, float]
    """Value of each of PERCENTILES.

    Percentiles are exact for integers of at most 16 bits. For other types, they are up to 0.2%
    nearer to 0 than the exact value.
    """
    valid_percent: float
    """Percentage of the pixels that are valid, 0 to 100."""


class BandHistogram:
    """Histogram of the values of a band, from which its statistics are computed."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        """Start without any values.

        Args:
            dtype: Data type of the values; only counts of the same type can be merged.
        """
        self.dtype = dtype
        self._exact = dtype.kind in "iu" and 8 * dtype.itemsize <= _MAX_EXACT_BITS
        self._pixels = self._valid = 0
        self._mean = self._squares = 0.0  # sum of squared deviations from the mean
        self._low, self._high = np.inf, -np.inf
        count = 1 << (8 * dtype.itemsize if self._exact else _BIN_BITS)
        self._bins: NDArray[np.int64] = np.zeros(count, np.int64)

    def add(self, values: NDArray[Any], pixels: int) -> None:
        """Count values.

        Args:
            values: Valid values, finite, (n,) of `dtype`.
            pixels: Number of pixels, valid or not.
        """
        self._pixels += pixels
        if not len(values):
            return
        self._bins += np.bincount(self._bin_indices(values), minlength=len(self._bins))
        self._low = min(self._low, float(values.min()))
        self._high = max(self._high, float(values.max()))
        values64 = values.astype(np.float64)
        mean = float(values64.mean())
        values64 -= mean
        self._combine(len(values), mean, float(np.dot(values64, values64)))

    def merge(self, other: BandHistogram) -> None:
        """Add the counts of other pixels of the band."""
        self._pixels += other._pixels
        self._bins += other._bins
        self._low, self._high = min(self._low, other._low), max(self._high, other._high)
        if other._valid:
            self._combine(other._valid, other._mean, other._squares)

    def _combine(self, valid: int, mean: float, squares: float) -> None:
        """Combine the mean and the sum of squares with those of other values.

        The formula is from Chan, Golub and LeVeque (1979), "Updating formulae and a pairwise
        algorithm for computing sample variances".
        """
        total = self._valid + valid
        difference = mean - self._mean
        self._squares += squares + difference**2 * self._valid * valid / total
        self._mean += difference * valid / total
        self._valid = total

    def percentile(self, percent: float) -> float:
        """Return the lowest value that at least `percent` % of the valid pixels do not exceed."""
        rank = max(1, int(np.ceil(percent / 100 * self._valid)))
        index = int(np.searchsorted(np.cumsum(self._bins), rank))
        return float(np.clip(self._bin_value(index), self._low, self._high))

    def statistics(self, name: str) -> BandStatistics:
        """Return the statistics of the counted values.

        Args:
            name: Name of the band.

        Raises:
            LabelsError: No pixel was valid.
        """
        if not self._valid:
            raise LabelsError(
                f"the band {name} has no valid pixel among {self._pixels}; check the nodata "
                "values and masks of the scenes"
            )
        return BandStatistics(
            name=name,
            mean=self._mean,
            stddev=float(np.sqrt(self._squares / self._valid)),
            minimum=self._low,
            maximum=self._high,
            percentiles={percent: self.percentile(percent) for percent in PERCENTILES},
            valid_percent=100 * self._valid / self._pixels,
        )

    def _bin_indices(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return the bin of each value; bins are ordered as the values they count."""
        if self._exact:
            return values.astype(np.int64) - int(np.iinfo(self.dtype).min)
        with np.errstate(over="ignore"):
            bits = values.astype(np.float32).view(np.uint32)
        # As integers, the bits of positive floats are in order, and those of negative floats in
        # reverse order.
        ordered = np.where(bits & _SIGN_BIT, ~bits, bits | _SIGN_BIT)
        return np.asarray(ordered >> np.uint32(_DROPPED_BITS), np.int64)

    def _bin_value(self, index: int) -> float:
        """Return the value of a bin that is nearest to 0."""
        if self._exact:
            return index + int(np.iinfo(self.dtype).min)
        ordered = index << _DROPPED_BITS
        is_negative = not ordered & int(_SIGN_BIT)
        bits = (
            ~(ordered | ((1 << _DROPPED_BITS) - 1)) & 0xFFFFFFFF
            if is_negative
            else ordered ^ int(_SIGN_BIT)
        )
        return float(np.array(bits, np.uint32).view(np.float32))


def compute_band_statistics(
    collection: Collection,
    needs: BandNeeds,
    *,
    units: Units | None = None,
    threads: int | None = None,
) -> list[BandStatistics]:
    """Return the statistics of bands over all valid pixels of all scenes.

    `Scene.read_layers` decides which pixels of a band are valid. Scenes are read in windows,
    and each window is read once.

    Args:
        collection: Scenes to read.
        needs: Requirements of the model; its bands are in the order of the result.
        units: Unit of each band's statistics; by default, each scene's own units.
        threads: Number of scenes to read in parallel; by default, one per CPU.

    Raises:
        LabelsError: A band has no valid pixel.
        SceneError: A scene cannot be read or lacks a band.
    """
    scenes, bands = (
        read_model_scenes([scene.uri for scene in collection.scenes], needs),
        needs.names,
    )
    units = (None,) * len(bands) if units is None else units
    converted = any(conversion(scene.info, scene.bands, bands, units) for scene in scenes)
    dtype = common_dtype([scene.info for scene in scenes], converted=converted)
    totals = [BandHistogram(dtype) for _ in bands]
    with ThreadPoolExecutor(threads or available_cpus()) as pool:
        # Counts are merged in the order of the scenes, so that rounding does not depend on threads.
        for histograms in pool.map(partial(_count_scene, units=units, dtype=dtype), scenes):
            for total, histogram in zip(totals, histograms, strict=True):
                total.merge(histogram)
    return [total.statistics(name) for total, name in zip(totals, bands, strict=True)]


def _count_scene(known: ModelScene, *, units: Units, dtype: np.dtype[Any]) -> list[BandHistogram]:
    histograms = [BandHistogram(dtype) for _ in known.bands]
    convert = conversion(known.info, known.bands, known.needs.names, units)
    with known.open() as scene:
        for window in _iter_windows(known, len(known.bands) * dtype.itemsize):
            bands_of_window = _iter_valid_values(scene, window, known.bands, convert)
            for histogram, (values, pixels) in zip(histograms, bands_of_window, strict=True):
                histogram.add(values.astype(dtype, copy=False), pixels)
    return histograms


def _iter_valid_values(
    scene: Scene, window: PixelWindow, numbers: Sequence[int], convert: Conversion | None
) -> Iterator[tuple[NDArray[Any], int]]:
    """Yield each band's valid values (n,), converted, and its number of pixels in the window."""
    pixels, valid = scene.read_layers(window, numbers)
    converted = convert(pixels) if convert else pixels
    for index, values in enumerate(converted):
        mask = valid.band_mask(index, values.shape)
        if convert:
            mask = mask & np.isfinite(values)
        yield (values.ravel() if mask.all() else values[mask]), values.size


def _iter_windows(scene: ModelScene, pixel_bytes: int) -> Iterator[PixelWindow]:
    header = scene.info
    rows, cols = window_shape(scene, pixel_bytes, max_bytes=_MAX_WINDOW_BYTES)
    for y in range(0, header.height, rows):
        for x in range(0, header.width, cols):
            yield x, y, min(cols, header.width - x), min(rows, header.height - y)
