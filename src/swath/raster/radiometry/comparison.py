"""Compare a scene's bands with those of the scenes that a model was trained on.

Metadata does not prove a unit: some catalogs state an offset that was already applied. So the pixel
values themselves are compared. A scene whose percentiles lie far outside those of the training
scenes is in another unit, or shows something else. If a scene resembles the training scenes more
after two of its bands are exchanged, these bands are in the wrong order.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np

from swath.raster.radiometry.profile import PERCENTILES, Profile, Relations, compute_profile

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.raster.radiometry.sampling import Samples

MIN_VALID_PIXELS = 1 << 16
"""Smallest number of scene px, valid in every band, for a comparison.

A smaller scene may show a single kind of surface.
"""
MIN_SAMPLES = 1000
"""Smallest number of samples, valid in every band, for a comparison."""
_MAX_CONTRASTS = 20_000
"""Largest number of contrasts (see `Profile`) that a package holds; they are stored as text."""
MAX_PROFILES = 64
"""Largest number of scenes whose profiles a package holds."""
_MIN_DEVIATION = 0.02
"""Smallest standard deviation of a relation that is assumed for the training scenes."""
_LINEAR_SHARE = 0.05
"""Share of a band's range at which the scale of comparison turns from linear to logarithmic."""
_MARGIN, _SINGLE_SCENE_MARGIN = 0.5, 0.6
"""Factors of the largest distance of a percentile from the range of the training scenes.

For n training scenes, the distance is `_MARGIN` times the width of that range, plus
`_SINGLE_SCENE_MARGIN` / √n. Both are measured on the scale of `_Ranges`.
"""
_MAX_RATIO, _SMALL_SET_MAX_RATIO, _MIN_MANY_SCENES = 0.9, 0.5, 5
"""Largest ratio of the distance after an exchange of bands to the distance before it.

The distance is the squared distance to the nearest training scene. `_SMALL_SET_MAX_RATIO` applies
to fewer than `_MIN_MANY_SCENES` training scenes.
"""
_MAX_DISTANCE = 3.0
"""Largest squared distance at which a scene resembles a training scene.

It is a multiple of the largest squared distance from a training scene to its nearest neighbor.
"""
_MEDIAN = PERCENTILES.index(50)
"""Index of the median in `PERCENTILES`."""
_MAX_NAMED_BANDS = 3
"""Largest number of bands that a warning names."""


class TrainingStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of the bands of a model's training scenes, as its package holds them."""

    scenes: int
    """Number of training scenes."""
    low: list[list[float]]
    """Least value of each percentile over the scenes, (bands, len(PERCENTILES))."""
    high: list[list[float]]
    """Greatest value of each percentile over the scenes, (bands, len(PERCENTILES))."""
    profiles: list[Profile]
    """Profiles of the scenes; of many scenes, the profiles that differ most."""

    @classmethod
    def from_profiles(cls, profiles: Sequence[Profile]) -> Self:
        """Return the statistics of some scenes.

        Args:
            profiles: Profiles of the scenes; at least one.
        """
        percentiles = np.array([profile.percentiles for profile in profiles])
        return cls(
            scenes=len(profiles),
            low=percentiles.min(axis=0).tolist(),
            high=percentiles.max(axis=0).tolist(),
            profiles=_select_distinct(profiles),
        )

    def is_complete_for(self, bands: int) -> bool:
        """Return whether the statistics are complete and have the given number of bands."""
        tables = [self.low, self.high, *(profile.percentiles for profile in self.profiles)]
        related = bands, 2 * bands, bands * bands * (bands - 1)
        return (
            self.scenes >= len(self.profiles) > 0
            and all(len(table) == bands for table in tables)
            and all(len(row) == len(PERCENTILES) for table in tables for row in table)
            and all(
                (len(one.percentiles), len(one.roughness), len(one.contrasts))
                in {related, (bands, 0, 0)}
                for one in self.profiles
            )
        )


def compare(
    samples: Samples, expected: TrainingStatistics, bands: Sequence[str], *, stride: int, scene: str
) -> list[str]:
    """Return warnings if a scene contradicts the statistics of a model's training scenes.

    Args:
        samples: Samples of the scene, in the unit of the model package.
        expected: Statistics of the training scenes, from the package.
        bands: Names of the bands.
        stride: Distance in px between samples, along both axes.
        scene: Address of the scene, for the messages.

    Returns:
        Sentences for the user; none if nothing contradicts, or if there are too few samples.
    """
    count = len(samples.complete())
    if count < MIN_SAMPLES or count * stride**2 < MIN_VALID_PIXELS:
        return []
    profile = compute_profile(samples)
    ranges, percentiles = _Ranges.from_statistics(expected), np.array(profile.percentiles)
    exchange = _detect_exchange(profile, expected)
    if exchange and not ranges.outside(percentiles[exchange]).any():
        return [_exchange_warning(exchange, bands, scene)]
    outside = ranges.outside(percentiles)
    if outside.any():
        return [_unit_warning(percentiles, outside, expected, bands, scene)]
    return [_exchange_warning(exchange, bands, scene)] if exchange else []


@dataclass(frozen=True, slots=True, eq=False)
class _Ranges:
    """Ranges of the percentiles of each band that do not contradict those of training.

    Percentiles are compared on the scale `arcsinh(percentile / bend)`.
    """

    bend: NDArray[np.float64]
    """Pixel value of each band, (bands, 1), at which the scale turns from linear to logarithmic."""
    low: NDArray[np.float64]
    """Lower limits on that scale, (bands, len(PERCENTILES))."""
    high: NDArray[np.float64]
    """Upper limits on that scale, (bands, len(PERCENTILES))."""

    @classmethod
    def from_statistics(cls, expected: TrainingStatistics) -> Self:
        known = np.array([profile.percentiles for profile in expected.profiles])
        width = np.median(known[:, :, -1] - known[:, :, 0], axis=0)
        size = np.abs(known).max(axis=(0, 2))
        bend = np.maximum(
            _LINEAR_SHARE * np.maximum(width, 1e-3 * size), np.finfo(np.float32).tiny
        )[:, None]
        low, high = (np.arcsinh(np.array(one) / bend) for one in (expected.low, expected.high))
        margin = _MARGIN * (high - low) + _SINGLE_SCENE_MARGIN / np.sqrt(expected.scenes)
        return cls(bend, low - margin, high + margin)

    def outside(self, percentiles: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which percentiles (bands, len(PERCENTILES)) lie outside their ranges."""
        bent = np.arcsinh(percentiles / self.bend)
        return np.asarray((bent < self.low) | (bent > self.high))


class _RelationsDistance:
    """Distance from a scene to the training scene with the most similar relations of bands."""

    def __init__(self, relations: Sequence[Relations]) -> None:
        contrasts, rough = zip(*(each.features() for each in relations), strict=True)
        # Roughness distinguishes bands of similar values. It has fewer elements than the contrasts,
        # so it is given more weight.
        self._weight = np.sqrt(max(1.0, len(contrasts[0]) / 2 / len(rough[0])))
        known = np.array([self._to_vector(one) for one in relations])
        floors = np.concatenate(
            [
                np.full(len(contrasts[0]), _MIN_DEVIATION),
                np.full(len(rough[0]), _MIN_DEVIATION * self._weight),
            ]
        )
        variance = known.var(axis=0, ddof=1) if len(known) > 1 else 0.0
        self._spread = np.sqrt(variance + floors**2)
        self._known = known / self._spread
        others = [np.delete(self._known, index, axis=0) for index in range(len(known))]
        self.nearest = (
            max(map(self._distance, self._known, others)) if len(known) > 1 else float("inf")
        )
        """Largest squared distance from a training scene to its nearest neighbor."""

    def distance(self, relations: Relations) -> float:
        """Return the squared distance to the nearest training scene."""
        return self._distance(self._to_vector(relations) / self._spread, self._known)

    def _to_vector(self, relations: Relations) -> NDArray[np.float64]:
        contrasts, rough = relations.features()
        return np.concatenate([contrasts, rough * self._weight])

    @staticmethod
    def _distance(one: NDArray[np.float64], others: NDArray[np.float64]) -> float:
        return float(((others - one) ** 2).sum(axis=1).min())


def _detect_exchange(profile: Profile, expected: TrainingStatistics) -> list[int] | None:
    """Return an order of bands that clearly makes the scene more like the training scenes, if any.

    All exchanges of two bands are tried, and the best one is applied. This is repeated until none
    improves the result, so rotations and reversals are recognized, too.
    """
    known = [each for one in expected.profiles if (each := Relations.from_profile(one))]
    relations = Relations.from_profile(profile)
    if not known or relations is None:
        return None
    nearest_training = _RelationsDistance(known)
    order = list(range(len(profile.percentiles)))
    least = first = nearest_training.distance(relations)
    for _ in order:
        tried = [_swap(order, *pair) for pair in itertools.combinations(range(len(order)), 2)]
        distances = [nearest_training.distance(relations.permuted(one)) for one in tried]
        best = int(np.argmin(distances))
        if distances[best] >= least:
            break
        order, least = tried[best], distances[best]
    max_ratio = _MAX_RATIO if len(known) >= _MIN_MANY_SCENES else _SMALL_SET_MAX_RATIO
    clear = least < max_ratio * first and least <= _MAX_DISTANCE * nearest_training.nearest
    return order if clear else None


def _swap(order: Sequence[int], i: int, j: int) -> list[int]:
    swapped = list(order)
    swapped[i], swapped[j] = swapped[j], swapped[i]
    return swapped


def _exchange_warning(order: Sequence[int], bands: Sequence[str], scene: str) -> str:
    moved = [index for index, source in enumerate(order) if index != source]
    similar = ", ".join(f"{bands[order[index]]} resembles {bands[index]}" for index in moved)
    return (
        f"{scene}: the bands seem to be exchanged: {similar} in the model's training scenes; "
        "correct the names of the scene's bands, or store them in the model's order"
    )


def _unit_warning(
    percentiles: NDArray[np.float64],
    outside: NDArray[np.bool_],
    expected: TrainingStatistics,
    bands: Sequence[str],
    scene: str,
) -> str:
    usual = np.median([profile.percentiles for profile in expected.profiles], axis=0)
    odd = np.flatnonzero(outside.any(axis=1))
    descriptions = [
        _describe_band(bands[band], percentiles[band], usual[band], outside[band]) for band in odd
    ]
    more = f" and {len(odd) - _MAX_NAMED_BANDS} more bands" if len(odd) > _MAX_NAMED_BANDS else ""
    return (
        f"{'; '.join(descriptions[:_MAX_NAMED_BANDS])}{more}: {scene} seems to be in another "
        "unit, or shows something else; state its unit (gdal_edit.py -scale, -offset and -units), "
        "or correct it"
    )


def _describe_band(
    band: str,
    percentiles: NDArray[np.float64],
    usual: NDArray[np.float64],
    outside: NDArray[np.bool_],
) -> str:
    """Describe a band by its median and the median in the training scenes.

    If the median is not outside its range, the highest percentile that is outside is added.
    """
    text = (
        f"{band}: median {_format_number(percentiles[_MEDIAN])}, the model was trained around "
        f"{_format_number(usual[_MEDIAN])}"
    )
    if outside[_MEDIAN]:
        return text
    index = int(np.flatnonzero(outside)[-1])
    value, usual_value = _format_number(percentiles[index]), _format_number(usual[index])
    return f"{text} ({PERCENTILES[index]}% up to {value}, in training {usual_value})"


def _format_number(number: float) -> str:
    """Format a number with four significant digits, without an exponent if possible."""
    return f"{float(f'{number:.4g}'):.10g}"


def _select_distinct(profiles: Sequence[Profile]) -> list[Profile]:
    """Return as many profiles as a package can hold.

    Starting from the first, each next profile is the one farthest from those already chosen.
    """
    contrasts = max(1, len(profiles[0].contrasts))
    most = max(1, min(MAX_PROFILES, _MAX_CONTRASTS // contrasts))
    if len(profiles) <= most:
        return list(profiles)
    vectors = np.array([[*np.ravel(p.percentiles), *p.contrasts, *p.roughness] for p in profiles])
    spread = vectors.std(axis=0)
    vectors /= np.where(spread > 0, spread, 1)
    selected = [0]
    nearest = ((vectors - vectors[0]) ** 2).sum(axis=1)
    while len(selected) < most:
        selected.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, ((vectors - vectors[selected[-1]]) ** 2).sum(axis=1))
    return [profiles[index] for index in sorted(selected)]
