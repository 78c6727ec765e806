"""Stitch the detections of neighboring tiles: report each object once and whole.

The work has two stages. Only the second stage compares detections with one another.

`sort_out` checks each detection against the grid alone. A tile holds a box if the box keeps clear
of the tile's edges; edges at the scene's border do not count. If any tile holds the box, the object
was detected whole. One of the tiles that hold the box is its owner: the tile whose core contains
the box's center, or the tile nearest to the center. Detections of other tiles for the same object,
whole or clipped, are dropped. The check runs along each axis separately; a tile must own a box
along both axes to report it. A box that no tile holds is part of an object larger than the overlap,
and goes to the second stage. So does a box that another tile may assign differently, because a
model shifts a box a little with its position in the tile.

`settle` pairs the views that different tiles have of one object; a view is one tile's detection.
Two whole views are paired if they overlap by the package's threshold. Any other two are paired if
they agree in the region that the windows of their tiles share. Each view keeps its best match in
each other tile if the choice is mutual; each connected component is one object. The owner's view is
reported for the object. Without an owner's view, the parts are joined. If each tile assigned the
object to another tile, the best view is reported. A lone guest, which its owner did not report, is
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
from swath.detection.boxes import spread
from swath.detection.detections import Detections, Flag
from swath.detection.overlap import union
from swath.detection.stitching.grouping import components, groups, mutual_best
from swath.detection.stitching.ownership import Axis
from swath.detection.stitching.resolve import decide
from swath.detection.stitching.views import Views
from swath.models.nms_options import Matching
from swath.raster.tiles import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray

TOLERANCE = 2.0
"""Largest distance between a clipped side and the edge that clips it, in px."""
JITTER = 2.0
"""Largest distance that a side may move from one tile to the next, in px."""
_CHUNK = 1 << 15
"""Number of detections that are checked at once; their temporaries fit the processor's cache."""


@dataclass(frozen=True, slots=True)
class Seams:
    """Stitching of the detections of a grid of tiles."""

    grid: Grid
    matching: Matching = Matching()  # noqa: RUF009 (immutable)
    oriented: bool = False
    """Whether outlines are oriented boxes, so that joined outlines must be too."""
    tolerance: float = TOLERANCE
    jitter: float = JITTER

    def sort_out(self, seen: Detections) -> Detections:
        """Return the detections that their tiles report, flagged for `settle` where needed.

        Args:
            seen: Detections clipped to the windows of their tiles.
        """
        keep, flags = self.judge(seen)
        return replace(seen, flags=flags).take(keep)

    def judge(self, seen: Detections) -> tuple[Mask, NDArray[np.uint8]]:
        """Return a mask of the detections that their tiles report, and all flags, (n,) each.

        Args:
            seen: Detections clipped to the windows of their tiles.
        """
        keep, flags = np.empty(len(seen), np.bool_), np.empty(len(seen), np.uint8)
        axes = _axes(self.grid, self.tolerance, self.jitter)
        for start in range(0, len(seen), _CHUNK):
            rows = slice(start, start + _CHUNK)
            keep[rows], flags[rows] = self._judge_chunk(*axes, seen.box[rows], seen.tile[rows])
        return keep, flags

    def settle(self, flagged: Detections) -> Detections:
        """Return each object once, given the flagged detections of all tiles.

        Args:
            flagged: Detections that `sort_out` flagged, in any order.
        """
        if not len(flagged):
            return flagged
        views = self._views(flagged)
        return self._resolve(views, *views.pairs(self.matching))

    def settle_inside(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Stitch the flagged detections that depend on no tile outside.

        Each connected component of paired detections is stitched, or left, as a whole. So stitching
        some shards first, in any partition, and then the rest gives the same result as `settle`.

        Args:
            flagged: Detections of the tiles inside that `sort_out` flagged.
            inside: Function that selects the tiles inside by their numbers.

        Returns:
            Stitched detections without flags, and detections that are still flagged.
        """
        if not len(flagged):
            return flagged, flagged
        views = self._views(flagged)
        a, b, _ = views.pairs(self.matching)
        whole = components(len(flagged), a, b)
        open_ = np.zeros(len(flagged), dtype=np.bool_)
        open_[whole[self._reaches_out(views.seen.box, inside)]] = True
        open_ = open_[whole]
        return self.settle(views.seen.take(~open_)), views.seen.take(open_)

    def _judge_chunk(
        self, along_x: Axis, along_y: Axis, box: Boxes, tile: Ints
    ) -> tuple[Mask, NDArray[np.uint8]]:
        row = tile // self.grid.columns
        column = tile - row * self.grid.columns
        x0, y0, x1, y1 = np.ascontiguousarray(box.T)
        keep = along_x.surely(x0, x1, column) & along_y.surely(y0, y1, row)
        flags = np.zeros(len(box), np.uint8)
        rest = np.flatnonzero(~keep)
        if not len(rest):
            return keep, flags
        x = along_x.ask(x0[rest], x1[rest], column[rest])
        y = along_y.ask(y0[rest], y1[rest], row[rest])
        keep[rest] = x.keep & y.keep
        flags[rest] = (
            Flag.PART * (x.part | y.part)
            + Flag.DOUBTFUL * (x.doubtful | y.doubtful)
            + Flag.GUEST * (x.guest | y.guest)
        )
        return keep, flags

    def _views(self, flagged: Detections) -> Views:
        """Return detections with their owners and clipped sides, in a deterministic order."""
        seen = flagged.ordered()
        row, column = np.divmod(seen.tile, self.grid.columns)
        x0, y0, x1, y1 = seen.box.T
        along_x, along_y = _axes(self.grid, self.tolerance, self.jitter)
        x, y = along_x.ask(x0, x1, column), along_y.ask(y0, y1, row)
        return Views(self.grid, seen, x, y, self.tolerance, self.tolerance + self.jitter)

    def _reaches_out(self, box: Boxes, inside: TilePredicate) -> Mask:
        """Return which boxes may be compared with a detection of a tile outside, (n,)."""
        reach = 2 * self.tolerance
        along_x, along_y = _axes(self.grid, self.tolerance, self.jitter)
        (left, right), (top, bottom) = (
            along_x.reach(box[:, 0] - reach, box[:, 2] + reach),
            along_y.reach(box[:, 1] - reach, box[:, 3] + reach),
        )
        wide = right - left + 1
        which, place = spread(wide * (bottom - top + 1))
        row, column = np.divmod(place, wide[which])
        outside = ~inside((top[which] + row) * self.grid.columns + left[which] + column)
        return np.bincount(which[outside], minlength=len(box)) > 0

    def _resolve(self, views: Views, a: Ints, b: Ints, weight: Floats) -> Detections:
        """Return the stitched detections.

        Args:
            views: Flagged detections.
            a: (pairs,) rows of the first views of pairs that may show one object.
            b: (pairs,) rows of the second views.
            weight: (pairs,) quality of the match, above 0 to 1.
        """
        chosen = mutual_best(views.seen.tile, a, b, weight)
        group = groups(views.seen.tile, a[chosen], b[chosen], weight[chosen])
        standing, joined = decide(views, group)
        parts = self._join(views.seen.take(joined), group[joined])
        return Detections.concatenate([_unflagged(views.seen.take(standing)), parts])

    def _join(self, parts: Detections, group: Ints) -> Detections:
        """Join the parts of each object; its owner is the tile whose core holds the center."""
        order = np.argsort(group, kind="stable")
        starts = np.flatnonzero(np.diff(group[order], prepend=-1))
        if not len(starts):
            return parts
        outline = self._united(parts.outline, np.split(order, starts[1:]))
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

    def _united(self, outline: Polygons | None, groups: list[Ints]) -> Polygons | None:
        """Return the united outline of each group of parts; a part alone keeps its outline."""
        if outline is None:
            return None
        united = outline[[rows[0] for rows in groups]]
        for i, rows in enumerate(groups):
            if len(rows) > 1:
                united[i] = union(outline[rows], oriented=self.oriented)
        return united


def merge_detections(seen: Detections, seams: Seams) -> Detections:
    """Stitch the detections of all tiles of a scene; return each object once, in no order.

    Args:
        seen: Detections clipped to the windows of their tiles; not modified.
        seams: Stitching of the tiles.
    """
    keep, flags = seams.judge(seen)
    flagged = np.flatnonzero(keep & (flags != 0))
    settled = seams.settle(seen.take(flagged))
    keep[flagged] = False
    return Detections.concatenate([_unflagged(seen.take(keep)), settled])


@lru_cache(maxsize=8)
def _axes(grid: Grid, tolerance: float, jitter: float) -> tuple[Axis, Axis]:
    """Return the tiles along x and along y, cached because each batch of tiles needs them."""
    return (
        Axis.of(grid, 0, tolerance=tolerance, jitter=jitter),
        Axis.of(grid, 1, tolerance=tolerance, jitter=jitter),
    )


def _unflagged(settled: Detections) -> Detections:
    return replace(settled, flags=np.zeros(len(settled), np.uint8))
