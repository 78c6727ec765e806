"""Seams: of what neighbouring tiles saw twice, or only in part, each object once and whole.

Two questions, and only the second compares detections with one another.

`sort_out` looks at one detection and the grid. A tile holds a box when the box keeps clear of the
tile's edges, those at the scene's border excepted. If any tile holds it, the object was seen whole,
and of the tiles that hold it one is its owner: the one whose core holds the centre, or the nearest
to that. What others saw of it, whole or clipped, is dropped. Along each axis the question is the
same, and a box is its tile's own if it is so along both. A box that no tile holds is part of an
object larger than the overlap, and stays for the second question.

`settle` joins such parts. Two tiles saw the same object if what they saw of it agrees where their
windows overlap; so each part is paired with its best match in each other tile, where that is
mutual, and what hangs together becomes one box.

A real model moves a box a little with its place in the tile, so that a centre near a core's border
may fall to neither of two tiles, or to both. Those, and no others, are compared as well.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from swath.boxes import Boxes, Floats, Indices, Mask, iou, neighbours
from swath.detections import Detections, Flag
from swath.suppression import suppress
from swath.tiles import Grid

TOLERANCE = 2.0
"""How many px a clipped box may stop short of the edge that clips it."""
JITTER = 2.0
"""How many px a centre may move from one tile to the next."""
_ALIKE = 0.5
"""How far two views of one object must agree where both tiles saw it, as IoU along each axis."""


@dataclass(frozen=True, slots=True)
class _Answer:
    """Of intervals seen from places along one axis."""

    keep: Mask
    part: Mask
    doubtful: Mask
    guest: Mask
    open_low: Mask
    """Whether the place before may have seen the same thing, or more of it."""
    open_high: Mask
    """The same of the place after."""


@dataclass(frozen=True, slots=True)
class _Axis:
    """The places of tiles along one axis."""

    starts: Floats
    ends: Floats
    borders: Floats
    """Where one core ends and the next begins."""
    tolerance: float
    jitter: float

    def ask(self, low: Floats, high: Floats, place: Indices) -> _Answer:
        """Whether intervals are the places' own to report."""
        first = np.searchsorted(self.ends, high + self.tolerance, side="right")
        last = np.searchsorted(self.starts, low - self.tolerance, side="left") - 1
        part = first > last
        centre = (low + high) / 2
        owner = self._owner(centre, first, last)
        least = self._owner(centre - self.jitter, first, last)
        most = self._owner(centre + self.jitter, first, last)
        doubtful = ~part & (least < most)
        return _Answer(
            keep=part | ((least <= place) & (place <= most)),
            part=part,
            doubtful=doubtful,
            guest=~part & (owner != place),
            open_low=doubtful | (low - self.tolerance <= self.starts[place]),
            open_high=doubtful | (high + self.tolerance >= self.ends[place]),
        )

    def _owner(self, centre: Floats, first: Indices, last: Indices) -> Indices:
        core = np.searchsorted(self.borders, centre, side="right")
        return np.minimum(np.maximum(core, first), last)


@dataclass(frozen=True, slots=True)
class Seams:
    """The seams of a grid of tiles."""

    grid: Grid
    tolerance: float = TOLERANCE
    jitter: float = JITTER

    def sort_out(self, seen: Detections) -> Detections:
        """Of what tiles saw, what is theirs to report, with flags on what `settle` must look at.

        Args:
            seen: boxes clipped to the windows of their tiles.
        """
        x, y = self._ask(seen)
        flags = (
            Flag.PART * (x.part | y.part)
            + Flag.DOUBTFUL * (x.doubtful | y.doubtful)
            + Flag.GUEST * (x.guest | y.guest)
        )
        kept = Detections(seen.box, seen.score, seen.label, seen.tile, flags.astype(np.uint8))
        return kept.take(x.keep & y.keep)

    def settle(self, flagged: Detections, *, iou_threshold: float) -> Detections:
        """Join the parts and decide the doubtful, of the flagged detections of all tiles.

        Args:
            flagged: what `sort_out` flagged, in any order.
            iou_threshold: above this, two boxes of one class are one object.
        """
        flagged = flagged.ordered()
        part = (flagged.flags & Flag.PART) != 0
        return Detections.concatenate(
            [
                self._join(flagged.take(part)),
                _decide(flagged.take(~part), iou_threshold),
            ]
        )

    def _ask(self, seen: Detections) -> tuple[_Answer, _Answer]:
        """The question of `sort_out` along x and along y."""
        row, column = np.divmod(seen.tile, self.grid.columns)
        x0, y0, x1, y1 = seen.box.T
        columns, rows = np.arange(self.grid.columns), np.arange(self.grid.rows)
        return (
            self._axis(columns, 0).ask(x0, x1, column),
            self._axis(rows * self.grid.columns, 1).ask(y0, y1, row),
        )

    def _axis(self, tiles: Indices, axis: int) -> _Axis:
        """The places along x (0) or y (1), from one tile of each."""
        windows = self.grid.windows(tiles).astype(np.float64)
        starts, ends = windows[:, axis], windows[:, axis] + windows[:, axis + 2]
        # Nothing is clipped at the scene's own border.
        starts[0], ends[-1] = -np.inf, np.inf
        borders = self.grid.cores(tiles)[1:, axis].astype(np.float64)
        return _Axis(starts, ends, borders, self.tolerance, self.jitter)

    def _join(self, parts: Detections) -> Detections:
        """Parts of one object as one box, owned by the tile whose core holds its centre."""
        if not len(parts):
            return parts
        a, b = self._across_seams(parts)
        alike = self._agreement(parts, a, b)
        agree = alike >= _ALIKE
        a, b = _mutual_best(parts.tile, a[agree], b[agree], alike[agree])
        whole = _components(len(parts), a, b)
        order = np.argsort(whole, kind="stable")
        starts = np.flatnonzero(np.diff(whole[order], prepend=-1))
        box = np.concatenate(
            [
                np.minimum.reduceat(parts.box[order, :2], starts),
                np.maximum.reduceat(parts.box[order, 2:], starts),
            ],
            axis=1,
        )
        return Detections(
            box=box,
            score=np.maximum.reduceat(parts.score[order], starts),
            label=parts.label[order][starts],
            tile=self.grid.owner((box[:, 0] + box[:, 2]) / 2, (box[:, 1] + box[:, 3]) / 2),
            flags=np.zeros(len(starts), np.uint8),
        )

    def _across_seams(self, parts: Detections) -> tuple[Indices, Indices]:
        """Pairs of a class that meet in two tiles side by side, and are open towards each other.

        Tiles further apart need no look: an object that they share, those between them share too.
        """
        a, b = _same_class(parts, *neighbours(parts.box, margin=self.tolerance))
        x, y = self._ask(parts)
        row, column = np.divmod(parts.tile, self.grid.columns)
        beside = np.zeros(len(a), dtype=np.bool_)
        for along, across, answer in ((column, row, x), (row, column, y)):
            step = np.where(across[a] == across[b], along[b] - along[a], 0)
            beside |= (step == 1) & answer.open_high[a] & answer.open_low[b]
            beside |= (step == -1) & answer.open_low[a] & answer.open_high[b]
        return a[beside], b[beside]

    def _agreement(self, parts: Detections, a: Indices, b: Indices) -> Floats:
        """How well two tiles agree on what both saw: the lesser of the IoU along x and along y."""
        windows = self.grid.windows(parts.tile).astype(np.float64)
        low, high = windows[:, :2], windows[:, :2] + windows[:, 2:]
        shared_low, shared_high = np.maximum(low[a], low[b]), np.minimum(high[a], high[b])
        views = [self._view(parts.box[i], shared_low, shared_high) for i in (a, b)]
        (low_a, high_a), (low_b, high_b) = views
        both = np.minimum(high_a, high_b) - np.maximum(low_a, low_b)
        either = np.maximum(high_a, high_b) - np.minimum(low_a, low_b)
        # An interval of no length agrees with itself: tiles that abut share a line.
        alike = np.divide(both, either, out=(both >= 0).astype(np.float64), where=either > 0)
        return alike.min(axis=1)  # type: ignore[no-any-return]

    def _view(self, box: Boxes, low: Floats, high: Floats) -> tuple[Floats, Floats]:
        """Boxes within regions; a side that ends within the tolerance of a region's, ends there."""
        box_low, box_high = box[:, :2], box[:, 2:]
        return (
            np.where(box_low <= low + self.tolerance, low, box_low),
            np.where(box_high >= high - self.tolerance, high, box_high),
        )


def _same_class(of: Detections, a: Indices, b: Indices) -> tuple[Indices, Indices]:
    """Those pairs of different tiles whose classes are one."""
    rivals = (of.label[a] == of.label[b]) & (of.tile[a] != of.tile[b])
    return a[rivals], b[rivals]


def _mutual_best(tile: Indices, a: Indices, b: Indices, alike: Floats) -> tuple[Indices, Indices]:
    """Those pairs in which each is the other's best match in the other's tile."""
    one, other, weight = np.concatenate([a, b]), np.concatenate([b, a]), np.tile(alike, 2)
    order = np.lexsort((other, -weight, tile[other], one))
    one, other = one[order], other[order]
    new = np.diff(one, prepend=-1) != 0
    best = new | (np.diff(tile[other], prepend=-1) != 0)
    one, other = one[best], other[best]
    chosen, times = np.unique(
        np.stack([np.minimum(one, other), np.maximum(one, other)], axis=1),
        axis=0,
        return_counts=True,
    )
    low, high = chosen[times == 2].T  # noqa: PLR2004 (chosen from both sides)
    return low, high


def _components(count: int, a: Indices, b: Indices) -> Indices:
    """For each of `count` things, the least thing that it hangs together with, int64 (count,)."""
    root = np.arange(count)
    while True:
        low = np.minimum(root[a], root[b])
        before = root.copy()
        np.minimum.at(root, root[a], low)
        np.minimum.at(root, root[b], low)
        root = root[root]
        if np.array_equal(root, before):
            return root


def _decide(doubtful: Detections, iou_threshold: float) -> Detections:
    """One of each object that two tiles may both own, or neither.

    An owner stands for the object, and so does one of several guests: each tile took it for the
    other's. A guest alone is what its owner did not report.
    """
    if not len(doubtful):
        return doubtful
    guest = (doubtful.flags & Flag.GUEST) != 0
    ranked = doubtful.take(np.lexsort((-doubtful.score, guest)))
    guest = (ranked.flags & Flag.GUEST) != 0
    better, worse = _same_class(ranked, *neighbours(ranked.box))
    twins = iou(ranked.box[better], ranked.box[worse]) > iou_threshold
    better, worse = better[twins], worse[twins]
    paired = np.zeros(len(ranked), dtype=np.bool_)
    paired[better] = True
    kept = suppress(len(ranked), better, worse) & (paired | ~guest)
    return ranked.take(kept)
