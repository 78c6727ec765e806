"""Stitch the detections of neighboring tiles: report each object once and whole.

The work has two stages. Only the second stage compares detections with one another.

`keep_owned` checks each detection against the grid alone. A tile holds a box if the box keeps clear
of the tile's edges; edges at the scene's border do not count. If any tile holds the box, the object
was detected whole. One of the tiles that hold the box is its owner: the tile whose core contains
the box's center, or the tile nearest to the center. Detections of other tiles for the same object,
whole or clipped, are dropped. The check runs along each axis separately; a tile must own a box
along both axes to report it. A box that no tile holds is part of an object larger than the overlap,
and goes to the second stage. So does a box that another tile may assign differently, because a
model shifts a box a little with its position in the tile.

`stitch` pairs the views that different tiles have of one object; a view is one tile's detection.
Two whole views are paired if they overlap by the package's threshold. Any other two are paired if
they agree in the region that the windows of their tiles share. Each view keeps its best match in
each other tile if the choice is mutual; each connected component is one object. The owner's view is
reported for the object. Without an owner's view, the parts are joined. If each tile assigned the
object to another tile, the best view is reported. A lone view that its owner did not report is
dropped.

The strategy of `Matching` does not change the stitching: it applies to rival candidates of one
tile, and views of one object by two tiles are not rivals. Two views of one tile never count as one
object. What a tile reports twice, for example with `none`, is therefore reported twice.

Outlines are stitched by their envelopes; two outlines agree by the IoU of their areas within the
shared region.

The result has each object once, for any tiles and shards. Two objects of one class can be confused
only in these cases:

- A tile shows both as one: they overlap by more than the package's threshold.
- Two tiles have the same view of both in the region that their windows share. For outlines, an
  agreement of one half may be enough where a view has no better match. With an overlap of 0 the
  region is a line; objects that meet there are joined if their cross-sections agree by half.
- The model's boxes are inexact. Objects must then differ by more than `tolerance` and `jitter`
  together. Tiles must overlap by twice that sum, or a sliver may be taken for an object.

If a window cuts the visible part of an object in two, a tile must report one view of the object.
It must not report one view for each piece.

The code is swath's own, since libraries merge the tiles of a scene by NMS, which loses parts or
joins neighbors. For a million boxes, sahi's GreedyNMM takes 192 times as long and lsnms takes 14
times as long (`make bench ARGS=merge`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath._types import Boxes, Floats, Ints, Mask, Polygons, TilePredicate
from swath.detection.boxes import expand_counts
from swath.detection.detections import Detections, Flag
from swath.detection.overlap import union
from swath.detection.stitching.grouping import connected_components, group_views, is_mutual_best
from swath.detection.stitching.ownership import Axis
from swath.detection.stitching.resolve import resolve_groups
from swath.detection.stitching.views import TileViews
from swath.models.nms_options import NmsOptions
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

DEFAULT_TOLERANCE_PX = 2.0
"""Largest distance between a clipped side and the edge that clips it, in px."""
DEFAULT_JITTER_PX = 2.0
"""Largest distance that a side may move from one tile to the next, in px."""
_CHUNK_DETECTIONS = 1 << 15
"""Number of detections that are checked at once; their temporaries fit the processor's cache."""


@dataclass(frozen=True, slots=True)
class Stitcher:
    """Stitching of the detections of a grid of tiles."""

    grid: Grid
    matching: NmsOptions = NmsOptions()  # noqa: RUF009 (immutable)
    is_oriented: bool = False
    """Whether outlines are oriented boxes, so that joined outlines must be too."""
    tolerance: float = DEFAULT_TOLERANCE_PX
    jitter: float = DEFAULT_JITTER_PX

    def keep_owned(self, detections: Detections) -> Detections:
        """Return the detections that their tiles report, flagged for `stitch` where needed.

        Args:
            detections: Detections clipped to the windows of their tiles.
        """
        is_reported, flags = self.classify(detections)
        return replace(detections, flags=flags).take(is_reported)

    def classify(self, detections: Detections) -> tuple[Mask, NDArray[np.uint8]]:
        """Return a mask of the detections that their tiles report, and all flags, (n,) each.

        Args:
            detections: Detections clipped to the windows of their tiles.
        """
        is_reported, flags = (
            np.empty(len(detections), np.bool_),
            np.empty(len(detections), np.uint8),
        )
        axes = _axes(self.grid, self.tolerance, self.jitter)
        for start in range(0, len(detections), _CHUNK_DETECTIONS):
            rows = slice(start, start + _CHUNK_DETECTIONS)
            is_reported[rows], flags[rows] = self._classify_chunk(
                *axes, detections.box[rows], detections.tile[rows]
            )
        return is_reported, flags

    def stitch(self, flagged: Detections) -> Detections:
        """Return each object once, given the flagged detections of all tiles.

        Args:
            flagged: Detections that `keep_owned` flagged, in any order.
        """
        if not len(flagged):
            return flagged
        views = self._views(flagged)
        return self._resolve(views, *views.pairs(self.matching))

    def stitch_interior(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Stitch the flagged detections that depend on no tile outside.

        Each connected component of paired detections is stitched, or left, as a whole. So stitching
        some shards first, in any partition, and then the rest gives the same result as `stitch`.

        Args:
            flagged: Detections of the tiles inside that `keep_owned` flagged.
            inside: Function that selects the tiles inside by their numbers.

        Returns:
            Stitched detections without flags, and detections that are still flagged.
        """
        if not len(flagged):
            return flagged, flagged
        views = self._views(flagged)
        a, b, _ = views.pairs(self.matching)
        component = connected_components(len(flagged), a, b)
        touches_outside = np.zeros(len(flagged), dtype=np.bool_)
        touches_outside[component[self._may_match_outside(views.detections.box, inside)]] = True
        touches_outside = touches_outside[component]
        return self.stitch(views.detections.take(~touches_outside)), views.detections.take(
            touches_outside
        )

    def _classify_chunk(
        self, along_x: Axis, along_y: Axis, box: Boxes, tile: Ints
    ) -> tuple[Mask, NDArray[np.uint8]]:
        row = tile // self.grid.columns
        column = tile - row * self.grid.columns
        x0, y0, x1, y1 = np.ascontiguousarray(box.T)
        is_reported = along_x.is_surely_owned(x0, x1, column) & along_y.is_surely_owned(y0, y1, row)
        flags = np.zeros(len(box), np.uint8)
        rest = np.flatnonzero(~is_reported)
        if not len(rest):
            return is_reported, flags
        x = along_x.classify(x0[rest], x1[rest], column[rest])
        y = along_y.classify(y0[rest], y1[rest], row[rest])
        is_reported[rest] = x.is_reported & y.is_reported
        flags[rest] = (
            Flag.TRUNCATED * (x.is_truncated | y.is_truncated)
            + Flag.AMBIGUOUS * (x.is_ambiguous | y.is_ambiguous)
            + Flag.NOT_OWNED * (x.is_not_owned | y.is_not_owned)
        )
        return is_reported, flags

    def _views(self, flagged: Detections) -> TileViews:
        """Return detections with their owners and clipped sides, in a deterministic order."""
        detections = flagged.sorted_by_tile()
        row, column = np.divmod(detections.tile, self.grid.columns)
        x0, y0, x1, y1 = detections.box.T
        along_x, along_y = _axes(self.grid, self.tolerance, self.jitter)
        x, y = along_x.classify(x0, x1, column), along_y.classify(y0, y1, row)
        return TileViews(self.grid, detections, x, y, self.tolerance, self.tolerance + self.jitter)

    def _may_match_outside(self, box: Boxes, inside: TilePredicate) -> Mask:
        """Return which boxes may be compared with a detection of a tile outside, (n,)."""
        reach = 2 * self.tolerance
        along_x, along_y = _axes(self.grid, self.tolerance, self.jitter)
        (left, right), (top, bottom) = (
            along_x.touched_tiles(box[:, 0] - reach, box[:, 2] + reach),
            along_y.touched_tiles(box[:, 1] - reach, box[:, 3] + reach),
        )
        columns = right - left + 1
        which, index = expand_counts(columns * (bottom - top + 1))
        row, column = np.divmod(index, columns[which])
        outside = ~inside((top[which] + row) * self.grid.columns + left[which] + column)
        return np.bincount(which[outside], minlength=len(box)) > 0

    def _resolve(self, views: TileViews, a: Ints, b: Ints, weight: Floats) -> Detections:
        """Return the stitched detections.

        Args:
            views: Flagged detections.
            a: (pairs,) rows of the first views of pairs that may show one object.
            b: (pairs,) rows of the second views.
            weight: (pairs,) quality of the match, above 0 to 1.
        """
        chosen = is_mutual_best(views.detections.tile, a, b, weight)
        group = group_views(views.detections.tile, a[chosen], b[chosen], weight[chosen])
        unchanged, joined = resolve_groups(views, group)
        parts = self._join_truncated(views.detections.take(joined), group[joined])
        return Detections.concatenate([_without_flags(views.detections.take(unchanged)), parts])

    def _join_truncated(self, parts: Detections, group: Ints) -> Detections:
        """Join the parts of each object; its owner is the tile whose core holds the center."""
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        if not len(starts):
            return parts
        outline = self._unite_outlines(parts.outline, np.split(order, starts[1:]))
        box = np.concatenate(
            [
                np.minimum.reduceat(parts.box[order, :2], starts),
                np.maximum.reduceat(parts.box[order, 2:], starts),
            ],
            axis=1,
        )
        if outline is not None:
            box = shapely.bounds(outline)
        return Detections(
            box=box,
            score=np.maximum.reduceat(parts.score[order], starts),
            label=parts.label[order][starts],
            tile=self.grid.owner((box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2),
            flags=np.zeros(len(starts), np.uint8),
            outline=outline,
        )

    def _unite_outlines(self, outline: Polygons | None, groups: list[Ints]) -> Polygons | None:
        """Return the united outline of each group of parts; a part alone keeps its outline."""
        if outline is None:
            return None
        united = outline[[rows[0] for rows in groups]]
        for i, rows in enumerate(groups):
            if len(rows) > 1:
                united[i] = union(outline[rows], is_oriented=self.is_oriented)
        return united


def merge_detections(detections: Detections, stitcher: Stitcher) -> Detections:
    """Stitch the detections of all tiles of a scene; return each object once, in no order.

    Args:
        detections: Detections clipped to the windows of their tiles; not modified.
        stitcher: Stitching of the tiles.
    """
    is_reported, flags = stitcher.classify(detections)
    flagged = np.flatnonzero(is_reported & (flags != 0))
    stitched = stitcher.stitch(detections.take(flagged))
    is_reported[flagged] = False
    return Detections.concatenate([_without_flags(detections.take(is_reported)), stitched])


@lru_cache(maxsize=8)
def _axes(grid: Grid, tolerance: float, jitter: float) -> tuple[Axis, Axis]:
    """Return the tiles along x and along y, cached because each batch of tiles needs them."""
    return (
        Axis.from_grid(grid, 0, tolerance=tolerance, jitter=jitter),
        Axis.from_grid(grid, 1, tolerance=tolerance, jitter=jitter),
    )


def _without_flags(stitched: Detections) -> Detections:
    return replace(stitched, flags=np.zeros(len(stitched), np.uint8))
