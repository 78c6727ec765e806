"""Compute the profile of a scene's bands: their percentiles, and the relations between them.

Percentiles of each band reveal a wrong unit, but hardly an exchange of two bands of similar values.
So a profile also relates the bands to one another: the contrast of two bands where a third is dark
or bright, and the roughness of each band. A permutation of the bands permutes these values, but
does not change them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.raster.radiometry.sampling import Samples

PERCENTILES = (2, 50, 98)
"""Percentiles that a profile holds of each band."""
MAX_RELATED_BANDS = 16
"""Largest number of bands whose relations a profile holds.

The number of relations grows with the cube of the number of bands.
"""
_MIN_ROUGHNESS = 1e-3
"""Roughness that is added to each band's, so that very smooth bands count as equally rough."""
_SIGNIFICANT_DIGITS = 4
"""Number of significant digits of the values of a profile."""
_MIN_RELATED_SAMPLES = 100
"""Smallest number of samples, valid in every band, from which relations are computed."""


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Profile of one scene, as a model package holds it."""

    percentiles: list[list[float]]
    """Percentiles of each band's pixel values in the package's unit, (bands, len(PERCENTILES))."""
    contrasts: list[float] = []
    """Means of the contrast (i - j) / (|i| + |j|) for each pair of bands i < j, flattened.

    For each pair and each band k, the first mean is over the darkest quarter of k, and the second
    over the brightest quarter.
    """
    roughness: list[float] = []
    """Natural logarithms of each band's roughness, (2 * bands).

    Roughness is the mean absolute difference between neighboring pixels. In the first half it is
    divided by the band's mean absolute deviation from its median, in the second half by the
    roughness of the roughest band.
    """


@dataclass(frozen=True, slots=True, eq=False)
class Relations:
    """Relations between the bands of one scene, as arrays that can be permuted."""

    contrasts: NDArray[np.float64]
    """Contrasts (i, j, k, dark or bright), (bands, bands, bands, 2), antisymmetric in i and j."""
    roughness: NDArray[np.float64]
    """Roughness of each band relative to its deviation and to the roughest band, (2, bands)."""

    @classmethod
    def from_profile(cls, profile: Profile) -> Self | None:
        """Restore the relations of a profile; None if it has none."""
        bands = len(profile.percentiles)
        if not profile.roughness:
            return None
        contrasts = np.zeros((bands, bands, bands, 2))
        upper = np.triu_indices(bands, 1)
        values = np.reshape(profile.contrasts, (-1, bands, 2))
        contrasts[upper] = values
        contrasts[upper[1], upper[0]] = -values
        return cls(contrasts, np.reshape(profile.roughness, (2, bands)))

    def permuted(self, order: Sequence[int]) -> Relations:
        """Return the relations of the same scene with its bands in another order."""
        indices = np.asarray(order)
        return Relations(
            self.contrasts[np.ix_(indices, indices, indices)], self.roughness[:, indices]
        )

    def features(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the contrasts and the differences in roughness, each as a vector."""
        upper = np.triu_indices(self.roughness.shape[1], 1)
        rough = self.roughness[:, upper[0]] - self.roughness[:, upper[1]]
        return self.contrasts[upper].ravel(), rough.ravel()


def compute_profile(samples: Samples) -> Profile:
    """Return the profile of a scene from its samples, whose order does not matter.

    Args:
        samples: Samples of the scene, of which at least one is valid in each band.
    """
    percentiles = [
        _rounded(np.percentile(band[~np.isnan(band)], PERCENTILES)) for band in samples.values
    ]
    known = samples.complete().sorted()
    bands, count = known.values.shape
    if not 1 < bands <= MAX_RELATED_BANDS or count < _MIN_RELATED_SAMPLES:
        return Profile(percentiles=percentiles)
    values = known.values.astype(np.float64)
    return Profile(
        percentiles=percentiles,
        contrasts=_rounded(_contrasts(values)),
        roughness=_rounded(_roughness(values, known.neighbors.astype(np.float64))),
    )


def _contrasts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    bands, count = values.shape
    quarter = max(1, count // 4)
    order = np.argsort(values, axis=1, kind="stable")
    ends = np.stack([order[:, :quarter], order[:, -quarter:]], axis=1)
    means = []
    for i in range(bands):
        for j in range(i + 1, bands):
            total = np.abs(values[i]) + np.abs(values[j])
            contrast = (values[i] - values[j]) / np.where(total > 0, total, 1)
            means.append(contrast[ends].mean(axis=2))
    return np.ravel(means)


def _roughness(values: NDArray[np.float64], neighbors: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = np.nanmean(np.abs(values - neighbors), axis=1)
    spread = np.abs(values - np.median(values, axis=1)[:, None]).mean(axis=1)
    own = (steps + _MIN_ROUGHNESS * spread) / np.where(spread > 0, spread, 1)
    roughest = steps.max() or 1.0
    logarithms: NDArray[np.float64] = np.log(
        np.concatenate([np.where(spread > 0, own, 1.0), steps / roughest + _MIN_ROUGHNESS])
    )
    return logarithms


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """Round values to `_SIGNIFICANT_DIGITS`; more carry no information and enlarge the package."""
    return [float(f"{value:.{_SIGNIFICANT_DIGITS}g}") for value in values.tolist()]
