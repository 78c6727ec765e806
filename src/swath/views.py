"""Views of objects by different tiles, and how well two views agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely

from swath.agreement import Shared
from swath.boxes import Floats, Indices, Mask, neighbours
from swath.detections import Detections
from swath.matching import Matching
from swath.overlaps import Outlines, Shapes
from swath.ownership import Answer
from swath.tiles import Grid

_ALIKE = 0.5
"""How far two views of one object must agree where both tiles saw it."""


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
        row, column = np.divmod(self.seen.tile, self.grid.columns)
        near = unsure[a] & unsure[b]
        near &= self._goes_on(a, column[b] - column[a], row[b] - row[a])
        near &= self._goes_on(b, column[a] - column[b], row[a] - row[b])
        a, b = a[near], b[near]
        across, down = column[b] - column[a], row[b] - row[a]
        shared = self._shared(a, b)
        # What tiles further apart share of a box, those between them share too.
        beside = abs(across) + abs(down) == 1
        if self.seen.outline is None:
            weight = shared.of_boxes(self.seen.box[a], self.seen.box[b])
            weight[~beside] = 0
        else:
            in_a, in_b = (shared.clip(self.seen.outline[rows]) for rows in (a, b))
            weight = shared.of_outlines(in_a, in_b)
            weight[~beside & shared.empty] = 0
            weight[~self._leaves(shared, a, in_a, across, down)] = 0
            weight[~self._leaves(shared, b, in_b, -across, -down)] = 0
        match = weight >= _ALIKE
        return a[match], b[match], weight[match]

    def _goes_on(self, rows: Indices, across: Indices, down: Indices) -> Mask:
        """Whether views go on, as far as their tiles can tell, that many tiles across or down."""
        x, y = self.x, self.y
        goes_on: Mask = (across > 0) & x.open_high[rows] | (across < 0) & x.open_low[rows]
        goes_on |= (down > 0) & y.open_high[rows] | (down < 0) & y.open_low[rows]
        return goes_on

    def _leaves(
        self, shared: Shared, rows: Indices, clipped: Outlines, across: Indices, down: Indices
    ) -> Mask:
        """Whether outlines leave their tile's window within the region that it shares.

        If none does, the other tile saw no more of the object than this one, and left it to this.
        """
        bounds = shapely.bounds(clipped)
        leaves = shared.touches(bounds, across, 0, self.clear)
        leaves |= shared.touches(bounds, down, 1, self.clear)
        leaves |= (across != 0) & self.x.doubtful[rows] | (down != 0) & self.y.doubtful[rows]
        return leaves

    def _shared(self, a: Indices, b: Indices) -> Shared:
        """Where the windows of pairs overlap."""
        windows = self.grid.windows(self.seen.tile).astype(np.float64)
        low, high = windows[:, :2], windows[:, :2] + windows[:, 2:]
        return Shared(np.maximum(low[a], low[b]), np.minimum(high[a], high[b]), self.tolerance)
