"""Measure how much candidates overlap, by their boxes or by their outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from swath._types import Boxes, Floats, Ints, Polygons
from swath.detection.boxes import area, ratio, shared_area
from swath.models.nms_options import Metric

_ROUNDING = 1e-6
"""Distance in px below which vertices count as rounding errors."""


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """Boxes, or outlines with their envelopes."""

    box: Boxes
    """(n, 4) boxes x0, y0, x1, y1."""
    outline: Polygons | None = None
    """(n,) shapely Polygons; None for boxes alone."""

    def __len__(self) -> int:
        return len(self.box)

    def take(self, rows: Ints) -> Shapes:
        """Return the given rows."""
        return Shapes(self.box[rows], None if self.outline is None else self.outline[rows])

    def overlap(self, better: Ints, worse: Ints, metric: Metric) -> Floats:
        """Return the overlap of pairs: shared area over the union, or over the worse's area.

        Args:
            better: (pairs,) rows of the better shapes.
            worse: (pairs,) rows of the worse shapes.
            metric: Divisor; the union for `iou`, else the area of the worse shape.
        """
        shared, of_better, of_worse = self._areas(better, worse)
        return ratio(shared, of_better + of_worse - shared if metric == "iou" else of_worse)

    def likeness(self, a: Ints, b: Ints, metric: Metric) -> Floats:
        """Return the overlap of pairs without a better one, (pairs,).

        The divisor is the union for `iou`, else the area of the larger shape.
        """
        shared, of_a, of_b = self._areas(a, b)
        whole = of_a + of_b - shared if metric == "iou" else np.maximum(of_a, of_b)
        return ratio(shared, whole)

    def _areas(self, a: Ints, b: Ints) -> tuple[Floats, Floats, Floats]:
        """Return the shared area of pairs, the first's area and the second's, (pairs,) each."""
        if self.outline is None:
            left, right = self.box[a], self.box[b]
            return shared_area(left, right), area(left), area(right)
        shared = shapely.area(shapely.intersection(self.outline[a], self.outline[b]))
        areas = shapely.area(self.outline)
        return shared, areas[a], areas[b]


def union(outlines: Polygons, *, oriented: bool) -> shapely.Geometry:
    """Return the union of outlines; for oriented boxes, the least oriented box around them."""
    joined = shapely.union_all(outlines)
    return oriented_box(joined) if oriented else joined


def oriented_box(outline: shapely.Geometry) -> shapely.Geometry:
    """Return the least oriented box around an outline.

    Shapely may return a sliver if vertices lie within a rounding error of one another, as those of
    a union do. Such vertices are dropped first.
    """
    hull = shapely.simplify(shapely.convex_hull(outline), _ROUNDING)
    return shapely.oriented_envelope(hull)
