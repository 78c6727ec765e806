"""Measure how well two tiles agree on the part of an object that both cover."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from swath._types import Boxes, Floats, Mask, Polygons
from swath.detection.boxes import ratio


@dataclass(frozen=True, slots=True, eq=False)
class OverlapRegion:
    """Regions that the windows of two tiles share, as low and high corners x, y in px."""

    low: Floats
    """(n, 2) low corners."""
    high: Floats
    """(n, 2) high corners."""
    tolerance: float
    """Largest distance between a clipped side and the edge that clips it, in px."""

    @property
    def is_empty(self) -> Mask:
        """(n,) whether the region is a line or a point, or the windows do not meet."""
        return (self.high - self.low).min(axis=1) <= 0  # type: ignore[no-any-return]

    def box_agreement(self, a: Boxes, b: Boxes) -> Floats:
        """Return the lesser of the IoU along x and the IoU along y, within the region, (n,).

        Args:
            a: (n, 4) boxes x0, y0, x1, y1; NaN for an empty view.
            b: (n, 4) other boxes.
        """
        (low_a, high_a), (low_b, high_b) = self._snap(a), self._snap(b)
        both = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
        either = np.maximum(high_a, high_b) - np.minimum(low_a, low_b)
        # Two intervals of length 0 agree fully: tiles that abut share a line.
        shares = np.divide(both, either, out=(both >= 0).astype(np.float64), where=either > 0)
        # An empty view has a NaN box, and agrees with nothing.
        worst: Floats = np.nan_to_num(shares.min(axis=1))
        return worst

    def outline_agreement(self, a: Polygons, b: Polygons) -> Floats:
        """Return the IoU of the areas of two outlines within the region, (n,).

        Regions too narrow for areas to be meaningful use the agreement of the envelopes.

        Args:
            a: (n,) outlines that `clip` returned.
            b: (n,) other outlines that `clip` returned.
        """
        both = shapely.area(shapely.intersection(a, b))
        areas = ratio(both, shapely.area(a) + shapely.area(b) - both)
        narrow = (self.high - self.low).min(axis=1) <= 2 * self.tolerance
        envelopes = self.box_agreement(shapely.bounds(a), shapely.bounds(b))
        return np.where(narrow, envelopes, areas)

    def clip(self, outlines: Polygons) -> Polygons:
        """Return outlines (n,) clipped to regions, widened to include sides that stop short."""
        reach = np.maximum(0, self.tolerance + 0.5 - (self.high - self.low) / 2)
        regions = shapely.box(*(self.low - reach).T, *(self.high + reach).T)
        clipped: Polygons = shapely.intersection(outlines, regions)
        return clipped

    def reaches_ends(self, clipped: Polygons, max_distance: float) -> tuple[Mask, Mask]:
        """Return whether outlines come near the low and the high ends, (n, 2) each."""
        bounds = shapely.bounds(clipped)
        return bounds[:, :2] <= self.low + max_distance, bounds[:, 2:] >= self.high - max_distance

    def _snap(self, box: Boxes) -> tuple[Floats, Floats]:
        """Return the low and high corners of boxes, (n, 2) each, snapped to the regions.

        A side within the tolerance of a region's side, or beyond it, moves onto the region's side.
        """
        box_low, box_high = box[:, :2], box[:, 2:]
        return (
            np.where(box_low <= self.low + self.tolerance, self.low, box_low),
            np.where(box_high >= self.high - self.tolerance, self.high, box_high),
        )
