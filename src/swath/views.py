"""Views of objects by different tiles, and how well two views agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from swath.boxes import Boxes, Floats, Indices, Mask, neighbours, ratio
from swath.detections import Detections
from swath.matching import Matching
from swath.overlaps import Outlines, Shapes
from swath.ownership import Answer
from swath.tiles import Grid

_ALIKE = 0.5
"""How far two views of one object must agree where both tiles saw it, as IoU along each axis."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Detections with what is known of each from its tile's place along x and along y."""

    grid: Grid
    seen: Detections
    x: Answer
    y: Answer
    tolerance: float
    clear: float
    """How many px a side of one view may lie from that of another of the same object."""

    @property
    def part(self) -> Mask:
        """Which are of objects that no tile saw whole."""
        return self.x.part | self.y.part

    @property
    def whole(self) -> Mask:
        """Which keep clear of the edges of the tile that saw them."""
        return self.x.held & self.y.held

    @property
    def guest(self) -> Mask:
        """Which are another tile's."""
        return self.x.guest | self.y.guest

    @property
    def owner(self) -> Indices:
        """The tile that owns each, as the tile that saw it takes it."""
        return self.y.owner * self.grid.columns + self.x.owner

    def pairs(self, matching: Matching) -> tuple[Indices, Indices, Floats]:
        """Pairs that may be of one object, and how well they match, above 0.

        They are of one class and of two tiles. Whole views match as the package says; of others,
        what both tiles saw must agree.
        """
        a, b = neighbours(self.seen.box, margin=self.tolerance)
        rivals = self.seen.label[a] == self.seen.label[b]
        rivals &= self.seen.tile[a] != self.seen.tile[b]
        a, b = a[rivals], b[rivals]
        whole = self.whole[a] & self.whole[b]
        found = [self._alike(a[whole], b[whole], matching), self._agreeing(a[~whole], b[~whole])]
        first, second, weight = (np.concatenate(column) for column in zip(*found, strict=True))
        return first, second, weight

    def _alike(self, a: Indices, b: Indices, matching: Matching) -> tuple[Indices, Indices, Floats]:
        shapes = Shapes(self.seen.box, self.seen.outline)
        weight = shapes.likeness(a, b, matching.metric)
        match = (weight >= matching.threshold) & (weight > 0)
        return a[match], b[match], weight[match]

    def _agreeing(self, a: Indices, b: Indices) -> tuple[Indices, Indices, Floats]:
        unsure = self.x.unsure | self.y.unsure
        near = unsure[a] & unsure[b] & self._open_to_each_other(a, b)
        a, b = a[near], b[near]
        alike, rank = self._agreement(a, b)
        match = alike >= _ALIKE
        return a[match], b[match], rank[match]

    def _open_to_each_other(self, a: Indices, b: Indices) -> Mask:
        """Whether each goes on, as far as its tile can tell, into the window of the other's tile.

        Of boxes, only tiles side by side are asked: an object that tiles further apart share, those
        between them share too. An outline may pass from a tile to one across the corner.
        """
        row, column = np.divmod(self.seen.tile, self.grid.columns)
        across, down = column[b] - column[a], row[b] - row[a]
        a_goes_on, b_goes_on = np.zeros(len(a), np.bool_), np.zeros(len(a), np.bool_)
        for step, answer in ((across, self.x), (down, self.y)):
            a_goes_on |= (step > 0) & answer.open_high[a] | (step < 0) & answer.open_low[a]
            b_goes_on |= (step > 0) & answer.open_low[b] | (step < 0) & answer.open_high[b]
        both = a_goes_on & b_goes_on
        return both if self.seen.outline is not None else both & (abs(across) + abs(down) == 1)

    def _agreement(self, a: Indices, b: Indices) -> tuple[Floats, Floats]:
        """How well two tiles agree on what both saw: the lesser of the IoU along x and along y.

        And the same to rank matches by, which for outlines also counts what they share of area.
        """
        low, high = self._shared(a, b)
        rank = np.zeros(len(a))
        seen_a, seen_b = self.seen.box[a], self.seen.box[b]
        if self.seen.outline is not None:
            regions = self._regions(low, high)
            in_a = shapely.intersection(self.seen.outline[a], regions)
            in_b = shapely.intersection(self.seen.outline[b], regions)
            seen_a, seen_b = shapely.bounds(in_a), shapely.bounds(in_b)
            both = shapely.area(shapely.intersection(in_a, in_b))
            rank = ratio(both, shapely.area(in_a) + shapely.area(in_b) - both)
        (low_a, high_a), (low_b, high_b) = (
            self._snapped(box, low, high) for box in (seen_a, seen_b)
        )
        shared = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
        extent = np.maximum(high_a, high_b) - np.minimum(low_a, low_b)
        # An interval of no length agrees with itself: tiles that abut share a line.
        alike = np.divide(shared, extent, out=(shared >= 0).astype(np.float64), where=extent > 0)
        # What shows nothing there has no extent, and agrees with nothing.
        worst = np.nan_to_num(alike.min(axis=1))
        worst[((high < low).any(axis=1)) | (high == low).all(axis=1)] = 0
        return worst, worst + rank

    def _shared(self, a: Indices, b: Indices) -> tuple[Floats, Floats]:
        """Where the windows of pairs overlap: low and high corners, (n, 2) each."""
        windows = self.grid.windows(self.seen.tile).astype(np.float64)
        low, high = windows[:, :2], windows[:, :2] + windows[:, 2:]
        return np.maximum(low[a], low[b]), np.minimum(high[a], high[b])

    def _regions(self, low: Floats, high: Floats) -> Outlines:
        """The shared regions as shapes, wide enough that parts which stop short reach into them."""
        reach = np.maximum(0, self.tolerance + 0.5 - (high - low) / 2)
        regions: Outlines = shapely.box(*(low - reach).T, *(high + reach).T)
        return regions

    def _snapped(self, box: Boxes, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Boxes within regions; a side that ends within the tolerance of a region's, ends there."""
        box_low, box_high = box[:, :2], box[:, 2:]
        return (
            np.where(box_low <= low + self.tolerance, low, box_low),
            np.where(box_high >= high - self.tolerance, high, box_high),
        )
