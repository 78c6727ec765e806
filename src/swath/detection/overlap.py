"""How far candidates overlap: boxes by arithmetic, outlines where their envelopes meet."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from swath._types import Boxes, Floats, Ints, Polygons
from swath.detection.boxes import area, ratio, shared_area
from swath.models.nms_options import Metric

_ROUNDING = 1e-6
"""px."""


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Boxes, or outlines with their envelopes."""

    box: Boxes
    outline: Polygons | None = None

    def __len__(self) -> int:
        return len(self.box)

    def take(self, rows: Ints) -> Shapes:
        """Some of the rows."""
        return Shapes(self.box[rows], None if self.outline is None else self.outline[rows])

    def overlap(self, better: Ints, worse: Ints, metric: Metric) -> Floats:
        """How far each pair overlaps: over its union, or over the area of the worse."""
        shared, of_better, of_worse = self._areas(better, worse)
        return ratio(shared, of_better + of_worse - shared if metric == "iou" else of_worse)

    def likeness(self, a: Ints, b: Ints, metric: Metric) -> Floats:
        """The same of pairs of which neither is the worse: over the area of the larger."""
        shared, of_a, of_b = self._areas(a, b)
        whole = of_a + of_b - shared if metric == "iou" else np.maximum(of_a, of_b)
        return ratio(shared, whole)

    def _areas(self, a: Ints, b: Ints) -> tuple[Floats, Floats, Floats]:
        """Of pairs: the area that both cover, that of the first and that of the second."""
        if self.outline is None:
            left, right = self.box[a], self.box[b]
            return shared_area(left, right), area(left), area(right)
        shared = shapely.area(shapely.intersection(self.outline[a], self.outline[b]))
        areas = shapely.area(self.outline)
        return shared, areas[a], areas[b]


def union(outlines: Polygons, *, oriented: bool) -> shapely.Geometry:
    """One outline for all; of oriented boxes, the least oriented box around them."""
    joined = shapely.union_all(outlines)
    return oriented_box(joined) if oriented else joined


def oriented_box(outline: shapely.Geometry) -> shapely.Geometry:
    """The least oriented box around an outline.

    Shapely's answer may be a sliver where corners lie within a rounding error of one another, as
    those of a union do; so those that mean nothing are left out first.
    """
    hull = shapely.simplify(shapely.convex_hull(outline), _ROUNDING)
    return shapely.oriented_envelope(hull)
