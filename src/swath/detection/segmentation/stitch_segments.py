"""Stitch the regions that the borders of tiles' cores cut.

Each pixel is in one core, so no pixel is detected twice, and no detections are compared. Two
regions of one class that share a piece of a border between cores are one region. The result equals,
to the last corner, the regions of the whole scene's labels in one raster. Pixels that meet only in
a corner are not connected, across a border as within a core.

A region may be as large as the scene (the sea), and its whole outline is held in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath._types import Ints, TilePredicate
from swath.detection.detections import Detections, Flag
from swath.detection.segmentation.rings import join_polygons
from swath.detection.stitching.grouping import connected_components
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

_MAX_BATCH_VERTICES = 1_000_000
"""Number of vertices processed together, at about 300 bytes each; a region is never split."""


@dataclass(frozen=True, slots=True)
class SegmentStitcher:
    """Stitching of regions of pixels across a grid of tiles."""

    grid: Grid
    min_area: float = 0.0
    """Least area of a whole region in px; smaller regions are dropped."""

    def keep_owned(self, detections: Detections) -> Detections:
        """Flag the regions that touch another core; each tile reports its own regions.

        Args:
            detections: Regions of tiles' cores, as `polygonize.polygonize_tile` returns them.
        """
        part = self._touched_borders(detections).any(axis=1)
        flags = np.where(part, np.uint8(Flag.TRUNCATED), np.uint8(0))
        regions = Detections(
            detections.box,
            detections.score,
            detections.label,
            detections.tile,
            flags,
            detections.outline,
        )
        return (
            regions if self.min_area <= 1 else regions.take(part | self._is_large_enough(regions))
        )

    def stitch(self, flagged: Detections) -> Detections:
        """Join the flagged regions of all tiles.

        The score of a joined region is the mean over its pixels. Its tile is that of its largest
        part.

        Args:
            flagged: Detections that `keep_owned` flagged, in any order.
        """
        parts = flagged.sorted_by_tile()
        return self._join_truncated(
            parts, connected_components(len(parts), *self._touching_pairs(parts))
        )

    def stitch_interior(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Join the regions whose parts touch no core of a tile outside.

        Args:
            flagged: Detections of the tiles inside that `keep_owned` flagged.
            inside: Function that selects the tiles inside by their numbers.

        Returns:
            Whole regions without flags, and regions that are still flagged.
        """
        parts = flagged.sorted_by_tile()
        touches_outside = np.zeros(len(parts), np.bool_)
        steps = (-1, -self.grid.columns, 1, self.grid.columns)
        for touches, step in zip(self._touched_borders(parts).T, steps, strict=True):
            touches_outside[touches] |= ~inside(parts.tile[touches] + step)
        component = connected_components(len(parts), *self._touching_pairs(parts))
        is_open = np.isin(component, component[touches_outside])
        return self._join_truncated(parts.take(~is_open), component[~is_open]), parts.take(is_open)

    def _join_truncated(self, parts: Detections, component: Ints) -> Detections:
        """Join the parts of each component into one region; drop regions below `min_area`."""
        _, component, count = np.unique(component, return_inverse=True, return_counts=True)
        is_single = count[component] == 1
        _, component = np.unique(component[~is_single], return_inverse=True)
        whole = Detections.concatenate(
            [
                _without_flags(parts.take(is_single)),
                *_join_components(parts.take(~is_single), component),
            ]
        )
        return whole.take(self._is_large_enough(whole))

    def _touched_borders(self, detections: Detections) -> NDArray[np.bool_]:
        """Return whether regions touch the core left, above, right and below, (n, 4)."""
        cores = self.grid.cores(detections.tile)
        scene = np.array([0, 0, self.grid.width, self.grid.height])
        return np.asarray((detections.box == cores) & (cores != scene))

    def _is_large_enough(self, regions: Detections) -> NDArray[np.bool_]:
        return np.asarray(shapely.area(_outlines(regions)) >= self.min_area)

    def _touching_pairs(self, flagged: Detections) -> tuple[Ints, Ints]:
        """Return pairs of regions of one class that share a piece of a border between cores."""
        outlines = _outlines(flagged)
        borders = [
            self._border_edges(flagged.take(rows), rows.start)
            for rows in _batches(shapely.get_num_coordinates(outlines))
        ]
        left, above, right, below = (np.concatenate(side) for side in zip(*borders, strict=True))
        pairs = [_overlapping_edges(right, left), _overlapping_edges(below, above)]
        a, b = (np.concatenate(side) for side in zip(*pairs, strict=True))
        return a, b

    def _border_edges(self, regions: Detections, first: int) -> list[Ints]:
        """Return the edges of regions on the borders of their cores: left, upper, right, lower.

        Returns:
            Four arrays (n, 5) of border position, label, start and end along the border in px, and
            region number, counted from `first`.
        """
        points, region = shapely.get_coordinates(
            shapely.get_exterior_ring(_outlines(regions)), return_index=True
        )
        edge = np.flatnonzero(region[1:] == region[:-1])
        ends = np.rint(np.stack([points[edge], points[edge + 1]])).astype(np.int64)
        cores, region = self.grid.cores(regions.tile), region[edge]
        borders = []
        for side in range(4):
            across = side % 2
            line, along = ends[:, :, across], ends[:, :, 1 - across]
            on_border = np.flatnonzero((line[0] == line[1]) & (line[0] == cores[region, side]))
            number, along = region[on_border], along[:, on_border]
            columns = [line[0, on_border], regions.label[number], *np.sort(along, axis=0)]
            borders.append(np.stack([*columns, number + first], axis=1))
        return borders


def _overlapping_edges(before: Ints, after: Ints) -> tuple[Ints, Ints]:
    """Return pairs of regions on the two sides of a line that share more than a point of it.

    Args:
        before: (n, 5) line, label, start and end along the line, region. No two overlap.
        after: (m, 5) the same columns, for the other side of the lines.
    """
    both = np.concatenate([before, after])
    if not len(both):
        return both[:, 4], both[:, 4]
    _, line = np.unique(both[:, :2], axis=0, return_inverse=True)
    # All lines and labels share one axis, with a range of its own for each.
    both[:, 2:4] += line.reshape(-1, 1) * (both[:, 3].max() + 1)
    before, after = both[: len(before)], both[len(before) :]
    after = after[np.argsort(after[:, 2])]
    first = np.searchsorted(after[:, 3], before[:, 2], side="right")
    last = np.searchsorted(after[:, 2], before[:, 3], side="left")
    count = last - first
    steps = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return np.repeat(before[:, 4], count), after[np.repeat(first, count) + steps, 4]


def _join_components(parts: Detections, component: Ints) -> Iterator[Detections]:
    """Yield the joined regions of parts, some at a time; `component` numbers them from 0."""
    if not len(parts):
        return
    order = np.argsort(component, kind="stable")
    parts, component = parts.take(order), component[order]
    starts = np.flatnonzero(np.diff(component, prepend=-1))
    ends = np.append(starts[1:], len(parts))
    for wholes in _batches(np.add.reduceat(shapely.get_num_coordinates(_outlines(parts)), starts)):
        rows = slice(starts[wholes.start], ends[wholes.stop - 1])
        yield _join_batch(parts.take(rows), component[rows] - wholes.start)


def _join_batch(parts: Detections, component: Ints) -> Detections:
    outline = _outlines(parts)
    area = shapely.area(outline)
    order = np.lexsort((parts.tile, -area, component))
    largest = order[np.flatnonzero(np.diff(component[order], prepend=-1))]
    whole = join_polygons(outline, component)
    pixels, weight = np.bincount(component, area), np.bincount(component, area * parts.score)
    return Detections(
        box=shapely.bounds(whole).reshape(-1, 4),
        score=(weight / pixels).astype(np.float32),
        label=parts.label[largest],
        tile=parts.tile[largest],
        flags=np.zeros(len(whole), np.uint8),
        outline=whole,
    )


def _batches(size: Ints) -> list[slice]:
    """Return slices of consecutive rows of about `_MAX_BATCH_VERTICES` vertices, or of one row."""
    batch = np.cumsum(size) // _MAX_BATCH_VERTICES
    cuts = np.flatnonzero(np.diff(batch)) + 1
    return [slice(int(a), int(b)) for a, b in pairwise([0, *cuts, len(size)])]


def _without_flags(parts: Detections) -> Detections:
    flags = np.zeros(len(parts), np.uint8)
    return Detections(parts.box, parts.score, parts.label, parts.tile, flags, parts.outline)


def _outlines(regions: Detections) -> NDArray[np.object_]:
    return shapely.box(*regions.box.T) if regions.outline is None else regions.outline
