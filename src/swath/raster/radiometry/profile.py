"""Profile of a scene's bands: what their numbers, and the relations between them, are like.

Quantiles of each band show a wrong unit. They hardly show two bands of near values that were
swapped, so a profile also relates the bands to one another: how two bands differ where a third is
dark or bright, and how rough each band is. All of it follows a permutation of the bands exactly.
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

PERCENTS = (2, 50, 98)
"""The percentiles of each band."""
MAX_RELATED_BANDS = 16
"""Relations grow with the cube of the bands; profiles of more bands have none."""
_SMOOTHEST = 1e-3
"""Roughness of a band, as a share of the roughest one's, below which bands are all alike."""
_DIGITS = 4
_MIN_RELATED_SAMPLES = 100


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Profile of one scene, as a model package holds it."""

    percentiles: list[list[float]]
    """(bands, len(PERCENTS)): the PERCENTS of each band's numbers, in the package's unit."""
    contrasts: list[float] = []
    """For each pair of bands i < j, each band k: the mean of (i - j) / (|i| + |j|) over the darkest
    and over the brightest quarter of k."""
    roughness: list[float] = []
    """(2 * bands): natural logarithms of the mean difference between neighbouring pixels, first as
    a share of the band's mean absolute deviation, then as a share of the roughest band's."""


@dataclass(frozen=True, slots=True, eq=False)
class Relations:
    """Relations between the bands of one scene, as arrays that can be permuted."""

    contrasts: NDArray[np.float64]
    """(bands, bands, bands, 2), antisymmetric in the first two axes."""
    roughness: NDArray[np.float64]
    """(2, bands)."""

    @classmethod
    def of(cls, profile: Profile) -> Self | None:
        """Restore the relations of a profile; None where it has none."""
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
        places = np.asarray(order)
        return Relations(self.contrasts[np.ix_(places, places, places)], self.roughness[:, places])

    def features(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the contrasts and the differences in roughness, each as a vector."""
        upper = np.triu_indices(self.roughness.shape[1], 1)
        rough = self.roughness[:, upper[0]] - self.roughness[:, upper[1]]
        return self.contrasts[upper].ravel(), rough.ravel()


def profile_of(samples: Samples) -> Profile:
    """Return the profile of a scene's samples, whatever their order.

    Args:
        samples: of the scene; every band has a valid one.
    """
    percentiles = [
        _rounded(np.percentile(band[~np.isnan(band)], PERCENTS)) for band in samples.values
    ]
    known = samples.complete().sorted()
    bands, count = known.values.shape
    if not 1 < bands <= MAX_RELATED_BANDS or count < _MIN_RELATED_SAMPLES:
        return Profile(percentiles=percentiles)
    values = known.values.astype(np.float64)
    return Profile(
        percentiles=percentiles,
        contrasts=_rounded(_contrasts(values)),
        roughness=_rounded(_roughness(values, known.neighbours.astype(np.float64))),
    )


def _contrasts(values: NDArray[np.float64]) -> NDArray[np.float64]:
    bands, count = values.shape
    quarter = max(1, count // 4)
    order = np.argsort(values, axis=1, kind="stable")
    ends = np.stack([order[:, :quarter], order[:, -quarter:]], axis=1)
    found = []
    for i in range(bands):
        for j in range(i + 1, bands):
            total = np.abs(values[i]) + np.abs(values[j])
            contrast = (values[i] - values[j]) / np.where(total > 0, total, 1)
            found.append(contrast[ends].mean(axis=2))
    return np.ravel(found)


def _roughness(values: NDArray[np.float64], neighbours: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = np.nanmean(np.abs(values - neighbours), axis=1)
    spread = np.abs(values - np.median(values, axis=1)[:, None]).mean(axis=1)
    own = (steps + _SMOOTHEST * spread) / np.where(spread > 0, spread, 1)
    roughest = steps.max() or 1.0
    logarithms: NDArray[np.float64] = np.log(
        np.concatenate([np.where(spread > 0, own, 1.0), steps / roughest + _SMOOTHEST])
    )
    return logarithms


def _rounded(values: NDArray[np.float64]) -> list[float]:
    """Round to a few digits: more of them say nothing, and a package has many."""
    return [float(f"{value:.{_DIGITS}g}") for value in values.tolist()]
