"""How well two tiles agree on what both saw of an object."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from swath._types import Boxes, Floats, Mask, Polygons
from swath.detection.boxes import ratio


@dataclass(frozen=True, slots=True, eq=False)
class Shared:
    """Regions that the windows of two tiles share: low and high corners, (n, 2) each."""

    low: Floats
    high: Floats
    tolerance: float
    """How many px a clipped side may stop short of the edge that clips it."""

    @property
    def empty(self) -> Mask:
        """Which regions are lines or points: those windows abut."""
        return (self.high - self.low).min(axis=1) <= 0  # type: ignore[no-any-return]

    def of_boxes(self, a: Boxes, b: Boxes) -> Floats:
        """For each pair the lesser of the IoU along x and along y, within the region."""
        (low_a, high_a), (low_b, high_b) = self._snapped(a), self._snapped(b)
        both = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
        either = np.maximum(high_a, high_b) - np.minimum(low_a, low_b)
        # An interval of no length agrees with itself: tiles that abut share a line.
        alike = np.divide(both, either, out=(both >= 0).astype(np.float64), where=either > 0)
        # What shows nothing there has NaN for sides, and agrees with nothing.
        worst: Floats = np.nan_to_num(alike.min(axis=1))
        return worst

    def of_outlines(self, a: Polygons, b: Polygons) -> Floats:
        """For each pair of what `clip` left, the IoU of their areas.

        Where the region is too narrow for an area to say anything, that of their envelopes.
        """
        both = shapely.area(shapely.intersection(a, b))
        areas = ratio(both, shapely.area(a) + shapely.area(b) - both)
        narrow = (self.high - self.low).min(axis=1) <= 2 * self.tolerance
        envelopes = self.of_boxes(shapely.bounds(a), shapely.bounds(b))
        return np.where(narrow, envelopes, areas)

    def clip(self, outlines: Polygons) -> Polygons:
        """Outlines within the regions, which are widened so that what stops short reaches in."""
        reach = np.maximum(0, self.tolerance + 0.5 - (self.high - self.low) / 2)
        regions = shapely.box(*(self.low - reach).T, *(self.high + reach).T)
        clipped: Polygons = shapely.intersection(outlines, regions)
        return clipped

    def reached(self, clipped: Polygons, clear: float) -> tuple[Mask, Mask]:
        """Whether outlines come within `clear` px of the low and the high ends, (n, 2) each."""
        bounds = shapely.bounds(clipped)
        return bounds[:, :2] <= self.low + clear, bounds[:, 2:] >= self.high - clear

    def _snapped(self, box: Boxes) -> tuple[Floats, Floats]:
        """Boxes within the regions; a side within the tolerance of a region's, ends there."""
        box_low, box_high = box[:, :2], box[:, 2:]
        return (
            np.where(box_low <= self.low + self.tolerance, self.low, box_low),
            np.where(box_high >= self.high - self.tolerance, self.high, box_high),
        )
