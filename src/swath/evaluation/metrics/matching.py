"""Match detections with ground truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from swath.evaluation.metrics.pairs import Pairs, build_pairs

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints
    from swath.evaluation.metrics.objects import GroundTruth, Predictions

_NEARLY_ONE = 1 - 1e-10
"""Upper limit of the minimum IoU, as in COCO, so that the rounding of an area does not matter at an
IoU of 1."""


@dataclass(frozen=True, slots=True, eq=False)
class Matches:
    """Result of matching for each detection and each ground-truth object."""

    truth: Ints
    """(detections,): index of the matched ground-truth object; -1 without a match."""
    ignored: NDArray[np.bool_]
    """(detections,): True if the match is a crowd, so the detection is neither hit nor error."""
    missed: NDArray[np.bool_]
    """(ground truth,): True if no detection matches the object; False for a crowd."""

    @property
    def hit(self) -> NDArray[np.bool_]:
        """(detections,): True if the detection matches an object that is no crowd."""
        return (self.truth >= 0) & ~self.ignored

    @property
    def false(self) -> NDArray[np.bool_]:
        """(detections,): True if the detection has no match."""
        return self.truth < 0

    def take_predictions(self, rows: NDArray[np.bool_] | Ints) -> Matches:
        """Return the matches of some of the detections; the indices of ground truth do not change.

        Args:
            rows: Mask or indices of detections.
        """
        return Matches(self.truth[rows], self.ignored[rows], self.missed)


def match(
    truth: GroundTruth,
    predictions: Predictions,
    *,
    min_iou: float = 0.5,
    pairs: Pairs | None = None,
    allow_next_best: bool = True,
) -> Matches:
    """Match detections with ground truth greedily, as COCO and the SpaceNet challenge do.

    In order of descending score, each detection is matched with the unmatched object that it
    overlaps most. A match does not depend on detections with lower scores, so one matching is valid
    for every threshold.

    Args:
        truth: Ground truth.
        predictions: Detections.
        min_iou: Minimum overlap of a match.
        pairs: Candidate pairs of the two; by default, all pairs of the same class.
        allow_next_best: Whether a detection may match its next-best object if the best one is
            already matched. In Pascal VOC it may not:
            https://github.com/rafaelpadilla/Object-Detection-Metrics
    """
    pairs = build_pairs(truth, predictions) if pairs is None else pairs
    candidates = pairs.take(pairs.overlap >= min(min_iou, _NEARLY_ONE))
    candidates = candidates.take(_matching_order(truth, predictions, candidates))
    if not allow_next_best:
        candidates = candidates.take(np.unique(candidates.predictions, return_index=True)[1])
        candidates = candidates.take(_matching_order(truth, predictions, candidates))
    matched = _assign(candidates, truth.crowd, len(predictions))
    ignored = np.append(truth.crowd, False)[matched]
    missed = ~truth.crowd
    missed[matched[matched >= 0]] = False
    return Matches(matched, ignored, missed)


def _matching_order(truth: GroundTruth, predictions: Predictions, pairs: Pairs) -> Ints:
    """Return the order in which pairs are matched, with crowds last for each detection.

    Of objects with equal overlap, the last one comes first, as in COCO.
    """
    rank = np.empty(len(predictions), np.int64)
    rank[np.lexsort((predictions.scene, -predictions.score))] = np.arange(len(predictions))
    keys = (-pairs.truth, -pairs.overlap, truth.crowd[pairs.truth], rank[pairs.predictions])
    order: Ints = np.lexsort(keys)
    return order


def _assign(pairs: Pairs, crowd: NDArray[np.bool_], count: int) -> Ints:
    """Return the match of each detection, or -1.

    Args:
        pairs: Pairs in the order of matching.
        crowd: (ground truth,): True for a crowd, which can match several detections.
        count: Number of detections.
    """
    matched, is_unmatched = [-1] * count, [True] * len(crowd)
    is_crowd = crowd.tolist()
    for prediction, target in zip(pairs.predictions.tolist(), pairs.truth.tolist(), strict=True):
        if matched[prediction] < 0 and is_unmatched[target]:
            matched[prediction] = target
            is_unmatched[target] = is_crowd[target]
    return np.array(matched, np.int64)
