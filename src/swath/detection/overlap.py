"""Measure how much candidates overlap, by their boxes or by their outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from swath._types import Boxes, Floats, Ints, Polygons
from swath.detection.boxes import area, intersection_area, ratio
from swath.models.nms_options import OverlapMetric

_SIMPLIFY_TOLERANCE_PX = 1e-6
"""Distance in px below which vertices count as rounding errors."""


@dataclass(frozen=True, slots=True, eq=False)
class BoxesOrPolygons:
    """Boxes, or outlines with their envelopes."""

    box: Boxes
    """(n, 4) boxes x0, y0, x1, y1."""
    outline: Polygons | None = None
    """(n,) shapely Polygons; None for boxes alone."""

    def __len__(self) -> int:
        return len(self.box)

    def take(self, rows: Ints) -> BoxesOrPolygons:
        """Return the given rows."""
        return BoxesOrPolygons(self.box[rows], None if self.outline is None else self.outline[rows])

    def overlap(self, better: Ints, worse: Ints, metric: OverlapMetric) -> Floats:
        """Return the overlap of pairs: shared area over the union, or over the worse's area.

        Args:
            better: (pairs,) rows of the better shapes.
            worse: (pairs,) rows of the worse shapes.
            metric: Divisor; the union for `iou`, else the area of the worse shape.
        """
        intersection, of_better, of_worse = self._pair_areas(better, worse)
        return ratio(
            intersection, of_better + of_worse - intersection if metric == "iou" else of_worse
        )

    def symmetric_overlap(self, a: Ints, b: Ints, metric: OverlapMetric) -> Floats:
        """Return the overlap of pairs without a better one, (pairs,).

        The divisor is the union for `iou`, else the area of the larger shape.
        """
        intersection, of_a, of_b = self._pair_areas(a, b)
        whole = of_a + of_b - intersection if metric == "iou" else np.maximum(of_a, of_b)
        return ratio(intersection, whole)

    def _pair_areas(self, a: Ints, b: Ints) -> tuple[Floats, Floats, Floats]:
        """Return the shared area of pairs, the first's area and the second's, (pairs,) each."""
        if self.outline is None:
            left, right = self.box[a], self.box[b]
            return intersection_area(left, right), area(left), area(right)
        intersection = shapely.area(shapely.intersection(self.outline[a], self.outline[b]))
        areas = shapely.area(self.outline)
        return intersection, areas[a], areas[b]


def union(outlines: Polygons, *, is_oriented: bool) -> shapely.Geometry:
    """Return the union of outlines; for oriented boxes, its minimum-area rotated rectangle."""
    joined = shapely.union_all(outlines)
    return min_area_rotated_rect(joined) if is_oriented else joined


def min_area_rotated_rect(outline: shapely.Geometry) -> shapely.Geometry:
    """Return the minimum-area rotated rectangle around an outline.

    Shapely may return a sliver if vertices lie within a rounding error of one another, as those of
    a union do. Such vertices are dropped first.
    """
    hull = shapely.simplify(shapely.convex_hull(outline), _SIMPLIFY_TOLERANCE_PX)
    return shapely.oriented_envelope(hull)
