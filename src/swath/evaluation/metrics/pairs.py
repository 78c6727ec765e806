"""Find the pairs of detections and ground truth that overlap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath._types import Floats, Ints
from swath.detection.boxes import intersection_area, overlapping_pairs_between, ratio

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.evaluation.metrics.objects import Objects, Truth


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of a detection and a ground-truth object of the same scene that overlap."""

    found: Ints
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
        return Pairs(self.found[rows], self.truth[rows], self.overlap[rows])


def pairs_of(truth: Truth, found: Objects, *, across_classes: bool = False) -> Pairs:
    """Return the overlapping pairs of the same scene and class.

    A spatial index makes this O(n log n) for objects that are spread over their scenes.

    Args:
        truth: Ground truth.
        found: Detections.
        across_classes: Whether to return pairs of different classes as well.
    """
    seen, known = _meetings(truth, found)
    if not across_classes:
        alike = found.label[seen] == truth.label[known]
        seen, known = seen[alike], known[alike]
    shared = _shared(truth, found, seen, known)
    of_found = found.area[seen]
    union = of_found + truth.area[known] - shared
    overlap = ratio(shared, np.where(truth.crowd[known], of_found, union))
    return Pairs(seen, known, overlap).take(overlap > 0)


def _meetings(truth: Truth, found: Objects) -> tuple[Ints, Ints]:
    """Return the detections and ground-truth objects of the same scene whose bounds meet."""
    none = np.empty(0, np.int64)
    seen, known = [none], [none]
    for scene in np.intersect1d(truth.scene, found.scene):
        ours, theirs = np.flatnonzero(found.scene == scene), np.flatnonzero(truth.scene == scene)
        first, second = overlapping_pairs_between(found.bounds[ours], truth.bounds[theirs])
        seen.append(ours[first])
        known.append(theirs[second])
    return np.concatenate(seen), np.concatenate(known)


def _shared(truth: Truth, found: Objects, seen: Ints, known: Ints) -> Floats:
    """Return the area of intersection of each pair in px²."""
    if truth.outline is None or found.outline is None:
        return intersection_area(found.box[seen], truth.box[known])
    return np.asarray(
        shapely.area(shapely.intersection(found.outline[seen], truth.outline[known])), np.float64
    )
