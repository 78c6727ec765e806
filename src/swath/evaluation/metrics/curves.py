"""Compute precision and recall at one or all score thresholds, and the area under their curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath._types import Floats, Ints
from swath.detection.boxes import ratio

if TYPE_CHECKING:
    from swath.evaluation.metrics.matching import Matches
    from swath.evaluation.metrics.objects import GroundTruth, Predictions

THINNING_STEPS = 200
"""Number of steps of recall and of score in a thinned curve, which is more than a plot shows."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of hits, false positives and misses, and the metrics computed from them."""

    hits: int
    false: int
    missed: int

    @property
    def precision(self) -> float | None:
        """Share of detections that are hits; None without detections."""
        return _ratio_or_none(self.hits, self.hits + self.false)

    @property
    def recall(self) -> float | None:
        """Share of ground-truth objects that are detected; None without ground truth."""
        return _ratio_or_none(self.hits, self.hits + self.missed)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of precision and recall; None without ground truth and detections."""
        return _ratio_or_none(2 * self.hits, 2 * self.hits + self.false + self.missed)


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """Hits and false positives at each score threshold."""

    score: Floats
    """(k,): distinct scores, descending."""
    hits: Ints
    """(k,): number of hits with at least that score."""
    false: Ints
    """(k,): number of false positives with at least that score."""
    objects: int
    """Number of ground-truth objects, without crowds."""

    @property
    def precision(self) -> Floats:
        """(k,): precision at each threshold."""
        return ratio(self.hits.astype(np.float64), (self.hits + self.false).astype(np.float64))

    @property
    def recall(self) -> Floats:
        """(k,): recall at each threshold; 0 without ground truth."""
        recall: Floats = self.hits / max(self.objects, 1)
        return recall

    @property
    def f1(self) -> Floats:
        """(k,): F1 at each threshold."""
        f1: Floats = 2 * self.hits / np.maximum(self.hits + self.false + self.objects, 1)
        return f1

    @property
    def best(self) -> float | None:
        """Threshold with the best F1, the highest of equal ones; None without detections."""
        return float(self.score[np.argmax(self.f1)]) if len(self.score) else None

    def counts(self, threshold: float) -> Counts:
        """Return the hits, false positives and misses at a threshold."""
        kept = int(np.searchsorted(-self.score, -threshold, side="right"))
        hits = int(self.hits[kept - 1]) if kept else 0
        false = int(self.false[kept - 1]) if kept else 0
        return Counts(hits, false, self.objects - hits)


def build_curve(truth: GroundTruth, predictions: Predictions, matches: Matches) -> Curve:
    """Return the curve of matched detections.

    Args:
        truth: Ground truth.
        predictions: Detections.
        matches: Matches of the two.
    """
    order = np.argsort(-predictions.score, kind="stable")
    score = predictions.score[order]
    last = np.flatnonzero(np.diff(score, append=-np.inf))
    hits = np.cumsum(matches.hit[order], dtype=np.int64)[last]
    false = np.cumsum(matches.false[order], dtype=np.int64)[last]
    return Curve(score[last], hits, false, int((~truth.crowd).sum()))


def select_plot_points(curve: Curve) -> Ints:
    """Return the points that preserve a curve's shape.

    Each step of recall keeps its first and last point, and its points of highest and lowest
    precision. So the interpolated precision at the start of a step is the same as for all points.
    Each step of score keeps its first and last point. The point of the best F1 is kept, too.

    Returns:
        (m,): increasing indices of points, at most six for each of `THINNING_STEPS` steps.
    """
    count = len(curve.score)
    if count <= 2 * THINNING_STEPS:
        return np.arange(count)
    by_recall = np.floor(curve.recall * THINNING_STEPS).astype(np.int64)
    low, high = curve.score[-1], curve.score[0]
    by_score = np.floor((curve.score - low) / (high - low) * THINNING_STEPS).astype(np.int64)
    kept: list[Ints] = [
        *_ends(by_recall),
        *_ends(by_score),
        _lowest_points(by_recall, curve.precision),
        _lowest_points(by_recall, -curve.precision),
        np.array([np.argmax(curve.f1)]),
    ]
    return np.unique(np.concatenate(kept))


def _ends(step: Ints) -> tuple[Ints, Ints]:
    """Return the first and the last point of each step."""
    changes = np.flatnonzero(np.diff(step))
    return np.append(0, changes + 1), np.append(changes, len(step) - 1)


def _lowest_points(step: Ints, value: Floats) -> Ints:
    """Return the point with the lowest value in each step."""
    order = np.lexsort((value, step))
    lowest: Ints = order[_ends(step[order])[0]]
    return lowest


def voc_average_precision(
    truth: GroundTruth, predictions: Predictions, matches: Matches
) -> float | None:
    """Return Pascal VOC's average precision, or None without ground truth.

    It is the area under the precision-recall curve, after its precision was made non-increasing.
    All points are used, as in Pascal VOC since 2010, but coordinates are continuous.

    Args:
        truth: Ground truth.
        predictions: Detections.
        matches: Matches of the two.
    """
    count = int((~truth.crowd).sum())
    if not count:
        return None
    order = np.argsort(-predictions.score, kind="stable")
    order = order[~matches.ignored[order]]
    hits = np.cumsum(matches.hit[order])
    precision = hits / np.arange(1, len(order) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float((np.diff(hits, prepend=0) * envelope).sum() / count)


def _ratio_or_none(part: int, whole: int) -> float | None:
    return part / whole if whole else None
