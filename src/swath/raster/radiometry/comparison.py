"""Comparison of a scene's bands with those that a model was trained on.

Metadata is no proof of a unit: catalogues state offsets that are applied already. So the numbers
speak: a scene whose percentiles lie far outside those of the training scenes is of another unit, or
shows something else; a scene that resembles them more with two bands exchanged has them exchanged.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import msgspec
import numpy as np

from swath.raster.radiometry.profile import PERCENTS, Profile, Relations, profile_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.raster.radiometry.sampling import Samples

MIN_VALID_PIXELS = 1 << 16
"""Scene px, valid in every band, below which nothing is said: one small tile shows one thing."""
MIN_SAMPLES = 1000
"""Samples, valid in every band, below which nothing is said."""
_MAX_NUMBERS = 20_000
"""The most numbers of relations that a package holds: they are text."""
MAX_PROFILES = 64
"""The most scenes whose profiles a package holds."""
_FLOOR = 0.02
"""Standard deviation of a relation that training scenes are taken to have at least."""
_BEND = 0.05
"""Share of a band's range below which differences count linearly, and above it by their ratio."""
_MARGIN, _MARGIN_OF_ONE = 0.5, 0.6
"""How far a percentile may lie outside those of training: as a share of their range, and beside
that as a logarithm of a ratio, for one training scene; for n of them, by the root of n less."""
_MIN_GAIN, _MIN_GAIN_OF_FEW, _FEW = 0.9, 0.5, 5
"""Squared distance to the nearest training scene after an exchange of bands, as a share of that
before, from which on the exchange is no better; less where there are few training scenes."""
_MAX_DISTANCE = 3.0
"""Squared distance, as a multiple of the largest between training scenes that are neighbours, from
which on a scene resembles none of them, whatever its bands."""
_MEDIAN = PERCENTS.index(50)
_NAMED = 3
"""How many bands a warning names."""


class Expected(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of the bands of a model's training scenes, as its package holds them."""

    scenes: int
    low: list[list[float]]
    """(bands, len(PERCENTS)): the least of each percentile over the scenes."""
    high: list[list[float]]
    """The greatest."""
    profiles: list[Profile]
    """Profiles of the scenes; where there are many, of those that differ most."""

    @classmethod
    def of(cls, profiles: Sequence[Profile]) -> Self:
        """Return what to expect after some scenes, at least one."""
        percentiles = np.array([profile.percentiles for profile in profiles])
        return cls(
            scenes=len(profiles),
            low=percentiles.min(axis=0).tolist(),
            high=percentiles.max(axis=0).tolist(),
            profiles=_most_different(profiles),
        )

    def fits(self, bands: int) -> bool:
        """Whether the statistics are of so many bands, and complete."""
        tables = [self.low, self.high, *(profile.percentiles for profile in self.profiles)]
        related = bands, 2 * bands, bands * bands * (bands - 1)
        return (
            self.scenes >= len(self.profiles) > 0
            and all(len(table) == bands for table in tables)
            and all(len(row) == len(PERCENTS) for table in tables for row in table)
            and all(
                (len(one.percentiles), len(one.roughness), len(one.contrasts))
                in {related, (bands, 0, 0)}
                for one in self.profiles
            )
        )


def compare(
    samples: Samples, expected: Expected, bands: Sequence[str], *, stride: int, scene: str
) -> list[str]:
    """Return warnings of what contradicts the statistics of a model's training scenes.

    Args:
        samples: of the scene, in the unit of the model package.
        expected: from the package.
        bands: the names of the bands.
        stride: px between samples, along both axes.
        scene: the address of the scene, for the messages.
    """
    count = len(samples.complete())
    if count < MIN_SAMPLES or count * stride**2 < MIN_VALID_PIXELS:
        return []
    profile = profile_of(samples)
    ranges, seen = _Ranges.of(expected), np.array(profile.percentiles)
    exchange = _exchange(profile, expected)
    if exchange and not ranges.outside(seen[exchange]).any():
        return [_exchanged(exchange, bands, scene)]
    outside = ranges.outside(seen)
    if outside.any():
        return [_of_another_unit(seen, outside, expected, bands, scene)]
    return [_exchanged(exchange, bands, scene)] if exchange else []


@dataclass(frozen=True, slots=True, eq=False)
class _Ranges:
    """How far the percentiles of each band may lie apart from those of training."""

    bend: NDArray[np.float64]
    """(bands, 1)."""
    low: NDArray[np.float64]
    high: NDArray[np.float64]

    @classmethod
    def of(cls, expected: Expected) -> Self:
        known = np.array([profile.percentiles for profile in expected.profiles])
        width = np.median(known[:, :, -1] - known[:, :, 0], axis=0)
        size = np.abs(known).max(axis=(0, 2))
        bend = np.maximum(_BEND * np.maximum(width, 1e-3 * size), np.finfo(np.float32).tiny)[
            :, None
        ]
        low, high = (np.arcsinh(np.array(one) / bend) for one in (expected.low, expected.high))
        margin = _MARGIN * (high - low) + _MARGIN_OF_ONE / np.sqrt(expected.scenes)
        return cls(bend, low - margin, high + margin)

    def outside(self, percentiles: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Return which percentiles contradict those of training, (bands, len(PERCENTS))."""
        bent = np.arcsinh(percentiles / self.bend)
        return np.asarray((bent < self.low) | (bent > self.high))


class _Likeness:
    """Distance of a scene to the training scene that its bands' relations resemble most."""

    def __init__(self, relations: Sequence[Relations]) -> None:
        contrasts, rough = zip(*(each.features() for each in relations), strict=True)
        # Roughness tells bands of near values apart, and has few numbers beside the contrasts.
        self._weight = np.sqrt(max(1.0, len(contrasts[0]) / 2 / len(rough[0])))
        known = np.array([self._together(one) for one in relations])
        floors = np.concatenate(
            [np.full(len(contrasts[0]), _FLOOR), np.full(len(rough[0]), _FLOOR * self._weight)]
        )
        variance = known.var(axis=0, ddof=1) if len(known) > 1 else 0.0
        self._spread = np.sqrt(variance + floors**2)
        self._known = known / self._spread
        others = [np.delete(self._known, place, axis=0) for place in range(len(known))]
        self.nearest = (
            max(map(self._distance, self._known, others)) if len(known) > 1 else float("inf")
        )
        """The largest squared distance from a training scene to its nearest neighbour."""

    def distance(self, relations: Relations) -> float:
        """Return the squared distance to the nearest training scene."""
        return self._distance(self._together(relations) / self._spread, self._known)

    def _together(self, relations: Relations) -> NDArray[np.float64]:
        contrasts, rough = relations.features()
        return np.concatenate([contrasts, rough * self._weight])

    @staticmethod
    def _distance(one: NDArray[np.float64], others: NDArray[np.float64]) -> float:
        return float(((others - one) ** 2).sum(axis=1).min())


def _exchange(profile: Profile, expected: Expected) -> list[int] | None:
    """Return the order of bands in which the scene clearly resembles training more, if any.

    Exchanges of two bands are tried, the best is taken, and so on from there: so rotations and
    reversals are found, too.
    """
    known = [found for one in expected.profiles if (found := Relations.of(one))]
    relations = Relations.of(profile)
    if not known or relations is None:
        return None
    likeness = _Likeness(known)
    order = list(range(len(profile.percentiles)))
    least = first = likeness.distance(relations)
    for _ in order:
        tried = [_swapped(order, *pair) for pair in itertools.combinations(range(len(order)), 2)]
        distances = [likeness.distance(relations.permuted(one)) for one in tried]
        best = int(np.argmin(distances))
        if distances[best] >= least:
            break
        order, least = tried[best], distances[best]
    gain = _MIN_GAIN if len(known) >= _FEW else _MIN_GAIN_OF_FEW
    clear = least < gain * first and least <= _MAX_DISTANCE * likeness.nearest
    return order if clear else None


def _swapped(order: Sequence[int], i: int, j: int) -> list[int]:
    found = list(order)
    found[i], found[j] = found[j], found[i]
    return found


def _exchanged(order: Sequence[int], bands: Sequence[str], scene: str) -> str:
    moved = [place for place, source in enumerate(order) if place != source]
    found = ", ".join(f"{bands[order[place]]} looks like {bands[place]}" for place in moved)
    return (
        f"{scene}: the bands seem to be exchanged: {found} in the scenes of the model's training; "
        "name the scene's bands by what they are, or give them in the model's order"
    )


def _of_another_unit(
    seen: NDArray[np.float64],
    outside: NDArray[np.bool_],
    expected: Expected,
    bands: Sequence[str],
    scene: str,
) -> str:
    usual = np.median([profile.percentiles for profile in expected.profiles], axis=0)
    odd = np.flatnonzero(outside.any(axis=1))
    readings = [_reading(bands[band], seen[band], usual[band], outside[band]) for band in odd]
    more = f" and {len(odd) - _NAMED} more bands" if len(odd) > _NAMED else ""
    return (
        f"{'; '.join(readings[:_NAMED])}{more}: {scene} seems to be in another unit, or shows "
        "something else; state its unit (gdal_edit.py -scale, -offset and -units), or correct it"
    )


def _reading(
    band: str, seen: NDArray[np.float64], usual: NDArray[np.float64], outside: NDArray[np.bool_]
) -> str:
    """Return both readings of a band's median, and of the first other percentile that is odd."""
    text = (
        f"{band}: median {_text(seen[_MEDIAN])}, the model was trained around "
        f"{_text(usual[_MEDIAN])}"
    )
    if outside[_MEDIAN]:
        return text
    place = int(np.flatnonzero(outside)[-1])
    return f"{text} ({PERCENTS[place]}% up to {_text(seen[place])}, there {_text(usual[place])})"


def _text(number: float) -> str:
    """Return four digits of a number, without an exponent where it can be helped."""
    return f"{float(f'{number:.4g}'):.10g}"


def _most_different(profiles: Sequence[Profile]) -> list[Profile]:
    """Return as many profiles as a package can hold, each as far as can be from those before."""
    numbers = max(1, len(profiles[0].contrasts))
    most = max(1, min(MAX_PROFILES, _MAX_NUMBERS // numbers))
    if len(profiles) <= most:
        return list(profiles)
    vectors = np.array([[*np.ravel(p.percentiles), *p.contrasts, *p.roughness] for p in profiles])
    spread = vectors.std(axis=0)
    vectors /= np.where(spread > 0, spread, 1)
    kept = [0]
    nearest = ((vectors - vectors[0]) ** 2).sum(axis=1)
    while len(kept) < most:
        kept.append(int(np.argmax(nearest)))
        nearest = np.minimum(nearest, ((vectors - vectors[kept[-1]]) ** 2).sum(axis=1))
    return [profiles[place] for place in sorted(kept)]
