"""Pair the views that different tiles have of objects, and measure how well two views agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swath._types import Floats, Ints, Mask
from swath.detection.boxes import neighbours
from swath.detection.detections import Detections
from swath.detection.overlap import Shapes
from swath.detection.stitching.agreement import Shared
from swath.detection.stitching.ownership import Answer
from swath.models.nms_options import Matching
from swath.raster.tiles import Grid

_ALIKE = 0.5
"""Lowest agreement of two views of one object, 0 to 1, in the region that both tiles cover."""


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """Detections, with what their tile's position along x and along y says of each."""

    grid: Grid
    seen: Detections
    x: Answer
    y: Answer
    tolerance: float
    clear: float
    """Largest distance between the same side of two views of one object, in px."""

    @property
    def part(self) -> Mask:
        """(n,) whether the view is part of an object that no tile holds whole."""
        return self.x.part | self.y.part

    @property
    def whole(self) -> Mask:
        """(n,) whether the view keeps clear of the edges of its tile."""
        return self.x.held & self.y.held

    @property
    def guest(self) -> Mask:
        """(n,) whether another tile owns the view."""
        return self.x.guest | self.y.guest

    @property
    def owner(self) -> Ints:
        """(n,) number of the tile that owns the view, as the view's own tile computes it."""
        return self.y.owner * self.grid.columns + self.x.owner

    def pairs(self, matching: Matching) -> tuple[Ints, Ints, Floats]:
        """Return the pairs of views that may show one object, and the quality of each match.

        The views of a pair have one class and two tiles. Two whole views match by the package's
        metric and threshold. Other pairs must agree in the region that both tiles cover.

        Returns:
            Rows of the first views, rows of the second views, and quality of the match, above 0
            to 1; (pairs,) each.
        """
        a, b = neighbours(self.seen.box, margin=self.tolerance)
        rivals = self.seen.label[a] == self.seen.label[b]
        rivals &= self.seen.tile[a] != self.seen.tile[b]
        a, b = a[rivals], b[rivals]
        whole = self.whole[a] & self.whole[b]
        found = [self._alike(a[whole], b[whole], matching), self._agreeing(a[~whole], b[~whole])]
        first, second, weight = (np.concatenate(column) for column in zip(*found, strict=True))
        return first, second, weight

    def _alike(self, a: Ints, b: Ints, matching: Matching) -> tuple[Ints, Ints, Floats]:
        shapes = Shapes(self.seen.box, self.seen.outline)
        weight = shapes.likeness(a, b, matching.metric)
        match = (weight >= matching.threshold) & (weight > 0)
        return a[match], b[match], weight[match]

    def _agreeing(self, a: Ints, b: Ints) -> tuple[Ints, Ints, Floats]:
        unsure, place = self.x.unsure | self.y.unsure, self._place()
        open_low = np.stack([self.x.open_low, self.y.open_low], axis=1)
        open_high = np.stack([self.x.open_high, self.y.open_high], axis=1)
        # A view that is certainly whole is compared with no part.
        near = (unsure[a] | ~self.part[b]) & (unsure[b] | ~self.part[a])
        for one, other in ((a, b), (b, a)):
            step = place[other] - place[one]
            near &= self._goes_on(one, other, step, open_low[one], open_high[one])
        a, b = a[near], b[near]
        step = place[b] - place[a]
        weight = self._agreement(a, b, step)
        match = weight >= _ALIKE
        return a[match], b[match], weight[match]

    def _agreement(self, a: Ints, b: Ints, step: Ints) -> Floats:
        """Return how well pairs agree, 0 to 1; 0 if a view cannot continue in the other's tile."""
        shared, beside = self._shared(a, b), abs(step).sum(axis=1) == 1
        if self.seen.outline is None:
            # A region that distant tiles share of a part's box is shared by the tiles between them.
            beside |= ~self.part[a] & ~self.part[b]
            return np.where(beside, shared.of_boxes(self.seen.box[a], self.seen.box[b]), 0)
        doubtful = np.stack([self.x.doubtful, self.y.doubtful], axis=1)
        in_a, in_b = (shared.clip(self.seen.outline[rows]) for rows in (a, b))
        weight = np.where(beside | ~shared.empty, shared.of_outlines(in_a, in_b), 0)
        for one, other, towards, seen in ((a, b, step, in_a), (b, a, -step, in_b)):
            at_low, at_high = shared.reached(seen, self.clear)
            at_low, at_high = at_low | doubtful[one], at_high | doubtful[one]
            weight *= self._goes_on(one, other, towards, at_low, at_high)
        return weight

    def _goes_on(self, rows: Ints, others: Ints, step: Ints, at_low: Mask, at_high: Mask) -> Mask:
        """Return which views may continue in the tiles of the other views, (n,).

        Args:
            rows: (n,) rows of the views.
            others: (n,) rows of the other views.
            step: (n, 2), number of columns and rows from the view's tile to the other's tile.
            at_low: (n, 2), whether views reach the low end of their tile along x and y.
            at_high: (n, 2), whether views reach the high end of their tile along x and y.
        """
        low, high = self._windows()
        # The other view may also reach back to the far edge of this view's window.
        box = self.seen.box[others]
        at_high = at_high | (box[:, :2] - self.clear <= low[rows])
        at_low = at_low | (box[:, 2:] + self.clear >= high[rows])
        goes_on: Mask = np.any((step > 0) & at_high | (step < 0) & at_low, axis=1)
        return goes_on

    def _place(self) -> Ints:
        """Return the column and row of each view's tile, (n, 2)."""
        row, column = np.divmod(self.seen.tile, self.grid.columns)
        return np.stack([column, row], axis=1)

    def _windows(self) -> tuple[Floats, Floats]:
        """Return the low and high corners x, y of each view's window in px, (n, 2) each."""
        windows = self.grid.windows(self.seen.tile).astype(np.float64)
        return windows[:, :2], windows[:, :2] + windows[:, 2:]

    def _shared(self, a: Ints, b: Ints) -> Shared:
        """Return the regions that the windows of pairs share."""
        low, high = self._windows()
        return Shared(np.maximum(low[a], low[b]), np.minimum(high[a], high[b]), self.tolerance)
