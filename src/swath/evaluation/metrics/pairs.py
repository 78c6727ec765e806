"""Match the pairs of detections and ground truth that overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath._types import Floats, Ints
from swath.detection.boxes import intersection_area, overlapping_pairs_between, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.evaluation.metrics.objects import GroundTruth, Objects


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of a detection and a ground-truth object of the same scene that overlap."""

    predictions: Ints
    """(pairs,): index of the detection."""
    truth: Ints
    """(pairs,): index of the ground-truth object."""
    overlap: Floats
    """(pairs,): IoU, or intersection over the detection's area if the object is a crowd."""

    def take(self, rows: NDArray[np.bool_] | Ints) -> Pairs:
        """Return some of the pairs.

        Args:
            rows: Mask or indices of pairs.
        """
        return Pairs(self.predictions[rows], self.truth[rows], self.overlap[rows])


def build_pairs(truth: GroundTruth, predictions: Objects, *, across_classes: bool = False) -> Pairs:
    """Return the overlapping pairs of the same scene and class.

    A spatial index makes this O(n log n) for objects that are spread over their scenes.

    Args:
        truth: Ground truth.
        predictions: Detections.
        across_classes: Whether to return pairs of different classes as well.
    """
    prediction_rows, truth_rows = _pairs_with_overlapping_bounds(truth, predictions)
    if not across_classes:
        alike = predictions.label[prediction_rows] == truth.label[truth_rows]
        prediction_rows, truth_rows = prediction_rows[alike], truth_rows[alike]
    shared = _intersection_areas(truth, predictions, prediction_rows, truth_rows)
    prediction_area = predictions.area[prediction_rows]
    union = prediction_area + truth.area[truth_rows] - shared
    overlap = ratio(shared, np.where(truth.crowd[truth_rows], prediction_area, union))
    return Pairs(prediction_rows, truth_rows, overlap).take(overlap > 0)


def _pairs_with_overlapping_bounds(truth: GroundTruth, predictions: Objects) -> tuple[Ints, Ints]:
    """Return the detections and ground-truth objects of the same scene whose bounds meet."""
    none = np.empty(0, np.int64)
    prediction_rows, truth_rows = [none], [none]
    for scene in np.intersect1d(truth.scene, predictions.scene):
        ours, theirs = (
            np.flatnonzero(predictions.scene == scene),
            np.flatnonzero(truth.scene == scene),
        )
        first, second = overlapping_pairs_between(predictions.bounds[ours], truth.bounds[theirs])
        prediction_rows.append(ours[first])
        truth_rows.append(theirs[second])
    return np.concatenate(prediction_rows), np.concatenate(truth_rows)


def _intersection_areas(
    truth: GroundTruth, predictions: Objects, prediction_rows: Ints, truth_rows: Ints
) -> Floats:
    """Return the area of intersection of each pair in px²."""
    if truth.outline is None or predictions.outline is None:
        return intersection_area(predictions.box[prediction_rows], truth.box[truth_rows])
    return np.asarray(
        shapely.area(
            shapely.intersection(predictions.outline[prediction_rows], truth.outline[truth_rows])
        ),
        np.float64,
    )
