"""Precision and recall: at one threshold, at each, and what lies under their curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath._types import Floats, Ints
from swath.detection.boxes import ratio

if TYPE_CHECKING:
    from swath.evaluation.metrics.matching import Matches
    from swath.evaluation.metrics.objects import Found, Truth

STEPS = 200
"""How many steps of recall and of score a thinned curve has: more than a plot shows."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Hits, false alarms and misses, and the figures that follow from them."""

    hits: int
    false: int
    missed: int

    @property
    def precision(self) -> float | None:
        """The share of detections that are right; None where there are none."""
        return _share(self.hits, self.hits + self.false)

    @property
    def recall(self) -> float | None:
        """The share of known objects that are found; None where there are none."""
        return _share(self.hits, self.hits + self.missed)

    @property
    def f1(self) -> float | None:
        """The harmonic mean of precision and recall; None where there is nothing at all."""
        return _share(2 * self.hits, 2 * self.hits + self.false + self.missed)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """What each threshold gives; detections of one score stand or fall together."""

    score: Floats
    """(k,): the distinct scores, decreasing."""
    hits: Ints
    """(k,): of the detections that score so much or more."""
    false: Ints
    truths: int
    """How many objects are known."""

    @property
    def precision(self) -> Floats:
        """(k,)."""
        return ratio(self.hits.astype(np.float64), (self.hits + self.false).astype(np.float64))

    @property
    def recall(self) -> Floats:
        """(k,); 0 where nothing is known."""
        recall: Floats = self.hits / max(self.truths, 1)
        return recall

    @property
    def f1(self) -> Floats:
        """(k,)."""
        f1: Floats = 2 * self.hits / np.maximum(self.hits + self.false + self.truths, 1)
        return f1

    @property
    def best(self) -> float | None:
        """The threshold of the best F1, of equals the highest; None where nothing was found."""
        return float(self.score[np.argmax(self.f1)]) if len(self.score) else None

    def counts(self, threshold: float) -> Counts:
        """What a threshold gives."""
        kept = int(np.searchsorted(-self.score, -threshold, side="right"))
        hits = int(self.hits[kept - 1]) if kept else 0
        false = int(self.false[kept - 1]) if kept else 0
        return Counts(hits, false, self.truths - hits)


def curve_of(truth: Truth, found: Found, matches: Matches) -> Curve:
    """The curve of detections that were matched."""
    order = np.argsort(-found.score, kind="stable")
    score = found.score[order]
    last = np.flatnonzero(np.diff(score, append=-np.inf))
    hits = np.cumsum(matches.hit[order], dtype=np.int64)[last]
    false = np.cumsum(matches.false[order], dtype=np.int64)[last]
    return Curve(score[last], hits, false, int((~truth.crowd).sum()))


def thin(curve: Curve) -> Ints:
    """Return the points that keep a curve's shape: in steps of recall, and in steps of score.

    Of each step of recall the first and the last point stay, and those of the highest and the
    lowest precision, so the interpolated precision at a step's beginning is that of all points.

    Returns:
        (m,): increasing indices of points, at most six for each of `STEPS` steps.
    """
    count = len(curve.score)
    if count <= 2 * STEPS:
        return np.arange(count)
    by_recall = np.floor(curve.recall * STEPS).astype(np.int64)
    low, high = curve.score[-1], curve.score[0]
    by_score = np.floor((curve.score - low) / (high - low) * STEPS).astype(np.int64)
    kept: list[Ints] = [
        *_ends(by_recall),
        *_ends(by_score),
        _lowest(by_recall, curve.precision),
        _lowest(by_recall, -curve.precision),
        np.array([np.argmax(curve.f1)]),
    ]
    return np.unique(np.concatenate(kept))


def _ends(step: Ints) -> tuple[Ints, Ints]:
    """Return the first and the last point of each step."""
    changes = np.flatnonzero(np.diff(step))
    return np.append(0, changes + 1), np.append(changes, len(step) - 1)


def _lowest(step: Ints, value: Floats) -> Ints:
    """Return the point of the lowest value of each step."""
    order = np.lexsort((value, step))
    lowest: Ints = order[_ends(step[order])[0]]
    return lowest


def voc_average_precision(truth: Truth, found: Found, matches: Matches) -> float | None:
    """The area under the curve, its precision made decreasing; None where nothing is known.

    Pascal VOC's from 2010 on (all points), for continuous coordinates.
    """
    known = int((~truth.crowd).sum())
    if not known:
        return None
    order = np.argsort(-found.score, kind="stable")
    order = order[~matches.ignored[order]]
    hits = np.cumsum(matches.hit[order])
    precision = hits / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(hits, prepend=0) * envelope).sum() / known)


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
