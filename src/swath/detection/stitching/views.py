"""Pair the views that different tiles have of objects, and measure how well two views agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swath._types import Floats, Ints, Mask
from swath.detection.boxes import overlapping_pairs
from swath.detection.detections import Detections
from swath.detection.overlap import BoxesOrPolygons
from swath.detection.stitching.agreement import OverlapRegion
from swath.detection.stitching.ownership import Ownership
from swath.models.nms_options import NmsOptions
from swath.raster.tiles import Grid

_MIN_AGREEMENT = 0.5
"""Lowest agreement of two views of one object, 0 to 1, in the region that both tiles cover."""


@dataclass(frozen=True, slots=True, eq=False)
class TileViews:
    """Detections, with what their tile's position along x and along y says of each."""

    grid: Grid
    detections: Detections
    x: Ownership
    y: Ownership
    tolerance: float
    max_side_shift: float
    """Largest distance between the same side of two views of one object, in px."""

    @property
    def is_truncated(self) -> Mask:
        """(n,) whether the view is part of an object that no tile holds whole."""
        return self.x.is_truncated | self.y.is_truncated

    @property
    def is_whole(self) -> Mask:
        """(n,) whether the view keeps clear of the edges of its tile."""
        return self.x.is_whole & self.y.is_whole

    @property
    def is_not_owned(self) -> Mask:
        """(n,) whether another tile owns the view."""
        return self.x.is_not_owned | self.y.is_not_owned

    @property
    def owner(self) -> Ints:
        """(n,) number of the tile that owns the view, as the view's own tile computes it."""
        return self.y.owner * self.grid.columns + self.x.owner

    def pairs(self, matching: NmsOptions) -> tuple[Ints, Ints, Floats]:
        """Return the pairs of views that may show one object, and the quality of each match.

        The views of a pair have one class and two tiles. Two whole views match by the package's
        metric and threshold. Other pairs must agree in the region that both tiles cover.

        Returns:
            Rows of the first views, rows of the second views, and quality of the match, above 0
            to 1; (pairs,) each.
        """
        a, b = overlapping_pairs(self.detections.box, margin=self.tolerance)
        is_candidate = self.detections.label[a] == self.detections.label[b]
        is_candidate &= self.detections.tile[a] != self.detections.tile[b]
        a, b = a[is_candidate], b[is_candidate]
        is_whole = self.is_whole[a] & self.is_whole[b]
        matches = [
            self._match_whole_views(a[is_whole], b[is_whole], matching),
            self._match_partial_views(a[~is_whole], b[~is_whole]),
        ]
        first, second, weight = (np.concatenate(column) for column in zip(*matches, strict=True))
        return first, second, weight

    def _match_whole_views(
        self, a: Ints, b: Ints, matching: NmsOptions
    ) -> tuple[Ints, Ints, Floats]:
        shapes = BoxesOrPolygons(self.detections.box, self.detections.outline)
        weight = shapes.symmetric_overlap(a, b, matching.metric)
        match = (weight >= matching.threshold) & (weight > 0)
        return a[match], b[match], weight[match]

    def _match_partial_views(self, a: Ints, b: Ints) -> tuple[Ints, Ints, Floats]:
        may_be_truncated, positions = (
            self.x.may_be_truncated | self.y.may_be_truncated,
            self._tile_positions(),
        )
        open_low = np.stack([self.x.open_low, self.y.open_low], axis=1)
        open_high = np.stack([self.x.open_high, self.y.open_high], axis=1)
        # A view that is certainly whole is compared with no part.
        near = (may_be_truncated[a] | ~self.is_truncated[b]) & (
            may_be_truncated[b] | ~self.is_truncated[a]
        )
        for one, other in ((a, b), (b, a)):
            step = positions[other] - positions[one]
            near &= self._may_continue(one, other, step, open_low[one], open_high[one])
        a, b = a[near], b[near]
        step = positions[b] - positions[a]
        weight = self._agreement(a, b, step)
        match = weight >= _MIN_AGREEMENT
        return a[match], b[match], weight[match]

    def _agreement(self, a: Ints, b: Ints, step: Ints) -> Floats:
        """Return how well pairs agree, 0 to 1; 0 if a view cannot continue in the other's tile."""
        regions, adjacent = self._overlap_regions(a, b), abs(step).sum(axis=1) == 1
        if self.detections.outline is None:
            # A region that distant tiles share of a part's box is shared by the tiles between them.
            adjacent |= ~self.is_truncated[a] & ~self.is_truncated[b]
            return np.where(
                adjacent, regions.box_agreement(self.detections.box[a], self.detections.box[b]), 0
            )
        ambiguous = np.stack([self.x.is_ambiguous, self.y.is_ambiguous], axis=1)
        in_a, in_b = (regions.clip(self.detections.outline[rows]) for rows in (a, b))
        weight = np.where(adjacent | ~regions.is_empty, regions.outline_agreement(in_a, in_b), 0)
        for one, other, towards, clipped in ((a, b, step, in_a), (b, a, -step, in_b)):
            at_low, at_high = regions.reaches_ends(clipped, self.max_side_shift)
            at_low, at_high = at_low | ambiguous[one], at_high | ambiguous[one]
            weight *= self._may_continue(one, other, towards, at_low, at_high)
        return weight

    def _may_continue(
        self, rows: Ints, others: Ints, step: Ints, at_low: Mask, at_high: Mask
    ) -> Mask:
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
        box = self.detections.box[others]
        at_high = at_high | (box[:, :2] - self.max_side_shift <= low[rows])
        at_low = at_low | (box[:, 2:] + self.max_side_shift >= high[rows])
        may_continue: Mask = np.any((step > 0) & at_high | (step < 0) & at_low, axis=1)
        return may_continue

    def _tile_positions(self) -> Ints:
        """Return the column and row of each view's tile, (n, 2)."""
        row, column = np.divmod(self.detections.tile, self.grid.columns)
        return np.stack([column, row], axis=1)

    def _windows(self) -> tuple[Floats, Floats]:
        """Return the low and high corners x, y of each view's window in px, (n, 2) each."""
        windows = self.grid.windows(self.detections.tile).astype(np.float64)
        return windows[:, :2], windows[:, :2] + windows[:, 2:]

    def _overlap_regions(self, a: Ints, b: Ints) -> OverlapRegion:
        """Return the regions that the windows of pairs share."""
        low, high = self._windows()
        return OverlapRegion(
            np.maximum(low[a], low[b]), np.minimum(high[a], high[b]), self.tolerance
        )
