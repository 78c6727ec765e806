"""Seams: of what neighbouring tiles saw twice, or only in part, each object once and whole.

Two questions, and only the second compares detections with one another.

`sort_out` looks at one detection and the grid. A tile holds a box when the box keeps clear of the
tile's edges, those at the scene's border excepted. If any tile holds it, the object was seen whole,
and of the tiles that hold it one is its owner: the one whose core holds the centre, or the nearest
to that. What others saw of it, whole or clipped, is dropped. Along each axis the question is the
same, and a box is its tile's own if it is so along both. A box that no tile holds is part of an
object larger than the overlap, and stays for the second question. So does one that another tile may
answer for differently, because a real model moves a box a little with its place in the tile.

`settle` finds what is of one object: parts, if what two tiles saw of it agrees where their windows
overlap; and whole views, if they overlap as far as the package says. Each is paired with its best
match in each other tile, where that is mutual, and what hangs together is one object. Its owner's
view stands for it; without one the parts are joined; and where each tile took it for another's, the
best view stands. A guest alone is what its owner did not report, and is dropped.

No strategy of `Matching` changes that: it says what a tile makes of its rivals, and what two tiles
saw of one object are not rivals. Two views of one tile are never taken for one object, so what a
tile reported twice, with `none` say, is reported twice.

An outline goes the way of its envelope, and two agree by their areas within the shared region.

So the result is the objects, for any tiles and shards, unless nothing tells two of one class apart:

- A tile shows them as one: they overlap by more than the package's threshold.
- Two tiles see the same of both in the region that their windows share. Of outlines, half the same
  may be enough where a view has no better match. With an overlap of 0 the region is a line, and two
  objects that meet there are one if their cross-sections agree by half.
- With a model that errs they must differ by more than it errs: by more than `tolerance` and
  `jitter` together, and tiles must overlap by twice that, or a sliver may be taken for an object.

Of an object whose visible part a window cuts in two, a tile must report one view, not one a piece.

The code is swath's own, since libraries merge the tiles of a scene by NMS and so lose parts or join
neighbours. For a million boxes sahi's GreedyNMM takes 192 times as long, lsnms 14 times
(`make bench ARGS=merge`).
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
"""How many px a clipped box may stop short of the edge that clips it."""
JITTER = 2.0
"""How many px a side may move from one tile to the next."""
_CHUNK = 1 << 15
"""How many detections are looked at at once: their temporaries stay in the processor's cache."""


@dataclass(frozen=True, slots=True)
class Seams:
    """The seams of a grid of tiles."""

    grid: Grid
    matching: Matching = Matching()  # noqa: RUF009 (immutable)
    oriented: bool = False
    """Whether outlines are oriented boxes, and must be when they are joined."""
    tolerance: float = TOLERANCE
    jitter: float = JITTER

    def sort_out(self, seen: Detections) -> Detections:
        """Of what tiles saw, what is theirs to report, with flags on what `settle` must look at.

        Args:
            seen: detections clipped to the windows of their tiles.
        """
        keep, flags = self.judge(seen)
        return replace(seen, flags=flags).take(keep)

    def judge(self, seen: Detections) -> tuple[Mask, NDArray[np.uint8]]:
        """Which detections are their tiles' to report, and their flags, (n,) each.

        Args:
            seen: detections clipped to the windows of their tiles.
        """
        keep, flags = np.empty(len(seen), np.bool_), np.empty(len(seen), np.uint8)
        axes = _axes(self.grid, self.tolerance, self.jitter)
        for start in range(0, len(seen), _CHUNK):
            rows = slice(start, start + _CHUNK)
            keep[rows], flags[rows] = self._judge_chunk(*axes, seen.box[rows], seen.tile[rows])
        return keep, flags

    def settle(self, flagged: Detections) -> Detections:
        """Each object once, of the flagged detections of all tiles.

        Args:
            flagged: what `sort_out` flagged, in any order.
        """
        if not len(flagged):
            return flagged
        views = self._views(flagged)
        return self._resolve(views, *views.pairs(self.matching))

    def settle_inside(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Settle those that no tile outside has a say in; returns these, and those still flagged.

        What hangs together, directly or by way of others, is settled or left as a whole. So
        settling some shards first, in any partition, and then the rest gives what `settle` gives.

        Args:
            flagged: what `sort_out` flagged of the tiles inside.
            inside: which tiles, by their numbers, are inside.
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
        """Detections with all that is known of them, in an order that leaves nothing to chance."""
        seen = flagged.ordered()
        row, column = np.divmod(seen.tile, self.grid.columns)
        x0, y0, x1, y1 = seen.box.T
        along_x, along_y = _axes(self.grid, self.tolerance, self.jitter)
        x, y = along_x.ask(x0, x1, column), along_y.ask(y0, y1, row)
        return Views(self.grid, seen, x, y, self.tolerance, self.tolerance + self.jitter)

    def _reaches_out(self, box: Boxes, inside: TilePredicate) -> Mask:
        """Whether any tile outside may hold something that a box would be compared with."""
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
        """What is reported, given which pairs may be of one object and how well they match."""
        chosen = mutual_best(views.seen.tile, a, b, weight)
        group = groups(views.seen.tile, a[chosen], b[chosen], weight[chosen])
        standing, joined = decide(views, group)
        parts = self._join(views.seen.take(joined), group[joined])
        return Detections.concatenate([_unflagged(views.seen.take(standing)), parts])

    def _join(self, parts: Detections, group: Ints) -> Detections:
        """Parts of one object as one, owned by the tile whose core holds its centre."""
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
        """The outlines of groups of parts; what no other tile saw more of stays as it is."""
        if outline is None:
            return None
        united = outline[[rows[0] for rows in groups]]
        for i, rows in enumerate(groups):
            if len(rows) > 1:
                united[i] = union(outline[rows], oriented=self.oriented)
        return united


def merge_detections(seen: Detections, seams: Seams) -> Detections:
    """Of all that the tiles of a scene saw, each object once, in no order.

    Args:
        seen: detections clipped to the windows of their tiles; they are left as they are.
        seams: between the tiles.
    """
    keep, flags = seams.judge(seen)
    flagged = np.flatnonzero(keep & (flags != 0))
    settled = seams.settle(seen.take(flagged))
    keep[flagged] = False
    return Detections.concatenate([_unflagged(seen.take(keep)), settled])


@lru_cache(maxsize=8)
def _axes(grid: Grid, tolerance: float, jitter: float) -> tuple[Axis, Axis]:
    """The places along x and y; kept, because a tile asks again and again."""
    return (
        Axis.of(grid, 0, tolerance=tolerance, jitter=jitter),
        Axis.of(grid, 1, tolerance=tolerance, jitter=jitter),
    )


def _unflagged(settled: Detections) -> Detections:
    return replace(settled, flags=np.zeros(len(settled), np.uint8))
