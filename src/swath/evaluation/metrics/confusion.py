"""Compute the confusion matrix of classes, with the background."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.pairs import build_pairs

if TYPE_CHECKING:
    from swath._types import Ints
    from swath.evaluation.metrics.objects import GroundTruth, Predictions


def confusion_matrix(
    truth: GroundTruth, predictions: Predictions, classes: int, *, min_iou: float = 0.5
) -> Ints:
    """Return the confusion matrix, whose last row and column are the background.

    Objects of the same class are matched first, so the diagonal has the hits. The remaining objects
    are then matched across classes.

    Args:
        truth: Ground truth.
        predictions: Detections.
        classes: Number of classes.
        min_iou: Minimum IoU of a match.

    Returns:
        (classes + 1, classes + 1): rows are the ground truth, columns the prediction. Detections
        that match a crowd of their class are left out. So a class's column sums to its hits and
        false positives, and its row sums to its objects.
    """
    own = match(truth, predictions, min_iou=min_iou)
    unmatched, missed_truth = predictions.take(own.false), truth.take(own.missed)
    other = match(
        missed_truth,
        unmatched,
        min_iou=min_iou,
        pairs=build_pairs(missed_truth, unmatched, across_classes=True),
    )
    hit = np.flatnonzero(own.hit)
    other_hit = np.flatnonzero(other.hit)
    truth_labels = [truth.label[own.truth[hit]], missed_truth.label[other.truth[other_hit]]]
    predicted_labels = [predictions.label[hit], unmatched.label[other_hit]]
    missed, false = missed_truth.label[other.missed], unmatched.label[other.false]
    truth_labels += [missed, np.full(len(false), classes)]
    predicted_labels += [np.full(len(missed), classes), false]
    matrix = np.zeros((classes + 1, classes + 1), np.int64)
    np.add.at(matrix, (np.concatenate(truth_labels), np.concatenate(predicted_labels)), 1)
    return matrix
