"""Which detections overlap which known objects, and how far."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath._types import Floats, Ints
from swath.detection.boxes import meetings, ratio, shared_area

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.evaluation.metrics.objects import Objects, Truth


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Each detection with each known object of its scene that it shares some area with."""

    found: Ints
    truth: Ints
    overlap: Floats
    """Intersection over union; over the detection's own area where the known object is a crowd."""

    def take(self, rows: NDArray[np.bool_] | Ints) -> Pairs:
        """Some of the pairs: a mask or indices."""
        return Pairs(self.found[rows], self.truth[rows], self.overlap[rows])


def pairs_of(truth: Truth, found: Objects, *, across_classes: bool = False) -> Pairs:
    """The pairs of one scene and class, by a tree: n log n for objects spread over their scenes.

    Args:
        truth: what is known.
        found: what was seen.
        across_classes: pairs of different classes, too.
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
    """Detections and known objects of one scene whose boxes meet."""
    none = np.empty(0, np.int64)
    seen, known = [none], [none]
    for scene in np.intersect1d(truth.scene, found.scene):
        ours, theirs = np.flatnonzero(found.scene == scene), np.flatnonzero(truth.scene == scene)
        first, second = meetings(found.bounds[ours], truth.bounds[theirs])
        seen.append(ours[first])
        known.append(theirs[second])
    return np.concatenate(seen), np.concatenate(known)


def _shared(truth: Truth, found: Objects, seen: Ints, known: Ints) -> Floats:
    """The area that both of each pair cover."""
    if truth.outline is None or found.outline is None:
        return shared_area(found.box[seen], truth.box[known])
    return np.asarray(
        shapely.area(shapely.intersection(found.outline[seen], truth.outline[known])), np.float64
    )
