"""Of one tile's raw candidates, each object once: NMS and its kin, within each class.

All strategies but soft-NMS start from the groups that greedy NMS makes: the best candidate leads,
and those that overlap it by more than the threshold follow it. Each candidate is compared as the
model gave it, never with what a group has grown to, and belongs to exactly one group: so none is
dropped because a leader has changed since, and no group creeps along a row of objects.

The code is swath's own: torchvision's NMS needs torch, which most images are without, and lsnms
knows the IoU of boxes only. Neither compares outlines or overlaps by the smaller box.
"""

from __future__ import annotations

import numpy as np
import shapely
from numpy.typing import NDArray

from swath._types import Boxes, Floats, Ints, Mask, Polygons
from swath.detection.boxes import meetings, neighbours
from swath.detection.overlap import Shapes, oriented_box, union
from swath.models.nms_options import Matching, Metric

Scores = NDArray[np.float32]
Labels = NDArray[np.int16]
Candidates = tuple[Boxes, Scores, Labels, Polygons | None]

_BLOCK = 1024
"""How many of the best are compared with one another first."""


def reduce_candidates(
    boxes: Boxes,
    score: Scores,
    label: Labels,
    matching: Matching,
    *,
    outline: Polygons | None = None,
    oriented: bool = False,
    score_threshold: float = 0.0,
) -> Candidates:
    """What remains of one tile's raw candidates, best first; ties in the given order.

    Args:
        boxes: float64 (n, 4), x0, y0, x1, y1; the envelopes of the outlines.
        score: float32 (n,).
        label: int16 (n,).
        matching: which candidates of a class are of one object, and what becomes of them.
        outline: (n,) valid shapely Polygons; None where the boxes are all there is.
        oriented: whether the outlines are oriented boxes, and must be when they are joined.
        score_threshold: candidates with less are left out, before, and with soft-NMS also after.

    Returns:
        Boxes, scores, labels and outlines (None without outlines), of the same kinds.
    """
    seen = np.flatnonzero(score >= score_threshold)
    order = seen[np.argsort(-score[seen], kind="stable")]
    shapes = Shapes(boxes, outline).take(order)
    score, label = score[order], label[order]
    if matching.strategy == "soft-nms":
        score = _decayed(shapes, score, label, matching, score_threshold)
        kept = np.argsort(-score, kind="stable")[: np.count_nonzero(score >= score_threshold)]
    elif matching.strategy == "none":
        kept = np.arange(len(order))
    else:
        leader = leaders(shapes, label, matching.metric, matching.threshold)
        kept = np.flatnonzero(leader == np.arange(len(leader)))
        shapes = _combined(shapes, score, leader, matching, oriented=oriented)
    shapes = shapes.take(kept)
    return shapes.box, score[kept], label[kept], shapes.outline


def leaders(shapes: Shapes, label: Labels, metric: Metric, threshold: float) -> Ints:
    """For each candidate, the one that greedy NMS keeps in its stead; itself where it is kept.

    Args:
        shapes: candidates, best first.
        label: int16 (n,).
        metric: how far two overlap.
        threshold: a candidate follows a better one that it overlaps by more.

    Blocks of the best go first and rule out the rest, so that the many candidates that a detector
    heaps on one object never meet one another: the pairs grow with what is kept.
    """
    leader = np.full(len(shapes), -1)
    waiting, size = np.arange(len(shapes)), _BLOCK
    while len(waiting):
        block, waiting = waiting[:size], waiting[size:]
        better, worse = _rivals(shapes, label, block, metric, threshold)
        kept = block[suppress(len(block), better, worse)]
        leader[kept] = kept
        _follow(leader, block[better], block[worse])
        if len(waiting):
            a, b = meetings(shapes.box[kept], shapes.box[waiting])
            _follow(leader, *_matched(shapes, label, kept[a], waiting[b], metric, threshold))
            waiting = waiting[leader[waiting] < 0]
        size *= 2
    return leader


def suppress(count: int, winner: Ints, loser: Ints) -> Mask:
    """What remains of `count` things when each, taken in order, rules out those it wins against.

    The result is that of the sequential greedy loop. Each round settles all things that nothing
    undecided outranks, so the rounds are as many as the longest chain of rivals, not as the things.

    Args:
        count: how many things there are.
        winner: of each pair of rivals, the one that comes first in the order.
        loser: the other; nothing may win against itself by way of others.
    """
    kept = np.ones(count, dtype=np.bool_)
    kept[loser] = False
    open_ = ~kept
    while len(winner):
        open_[loser[kept[winner]]] = False
        undecided = open_[winner] & open_[loser]
        winner, loser = winner[undecided], loser[undecided]
        free = open_.copy()
        free[loser] = False
        kept |= free
        open_ &= ~free
        left = open_[loser]
        winner, loser = winner[left], loser[left]
    return kept


def _rivals(
    shapes: Shapes, label: Labels, rows: Ints, metric: Metric, threshold: float
) -> tuple[Ints, Ints]:
    """Pairs of places in `rows`, the better first, of a class and above the threshold."""
    few = shapes.take(rows)
    return _matched(few, label[rows], *neighbours(few.box), metric, threshold)


def _matched(
    shapes: Shapes, label: Labels, a: Ints, b: Ints, metric: Metric, threshold: float
) -> tuple[Ints, Ints]:
    same = label[a] == label[b]
    a, b = a[same], b[same]
    match = shapes.overlap(a, b, metric) > threshold
    return a[match], b[match]


def _follow(leader: Ints, better: Ints, worse: Ints) -> None:
    """Let those without a leader follow the best that is kept of those that outdo them."""
    led = (leader[better] == better) & (leader[worse] < 0)
    # Written from the worst to the best: the last to be written stands.
    order = np.argsort(-better[led], kind="stable")
    leader[worse[led][order]] = better[led][order]


def _decayed(
    shapes: Shapes, score: Scores, label: Labels, matching: Matching, threshold: float
) -> Scores:
    """The scores after soft-NMS with a Gaussian (Bodla et al., 2017).

    The sequential loop takes the best, lowers its neighbours' scores and goes on. A candidate that
    no open neighbour outdoes stays so until its turn, so each round takes all such at once.
    """
    a, b = _rivals(shapes, label, np.arange(len(shapes)), matching.metric, 0.0)
    a, b = np.concatenate([a, b]), np.concatenate([b, a])
    lower = np.exp(-(shapes.overlap(a, b, matching.metric) ** 2) / matching.sigma)
    left: Floats = score.astype(np.float64)
    open_ = np.ones(len(left), dtype=np.bool_)
    while len(a):
        outdone = (left[a] > left[b]) | ((left[a] == left[b]) & (a < b))
        taken = open_.copy()
        taken[b[outdone]] = False
        open_ &= ~taken
        hit = taken[a]
        np.multiply.at(left, b[hit], lower[hit])
        open_ &= left >= threshold
        both = open_[a] & open_[b]
        a, b, lower = a[both], b[both], lower[both]
    return left.astype(np.float32)


def _combined(
    shapes: Shapes, score: Scores, leader: Ints, matching: Matching, *, oriented: bool
) -> Shapes:
    """The leaders as the strategy has them; the other rows mean nothing."""
    if matching.strategy == "nmm":
        return _grown(shapes, leader, oriented=oriented)
    if matching.strategy == "wbf":
        return _averaged(shapes, score, leader, oriented=oriented)
    return shapes


def _grown(shapes: Shapes, leader: Ints, *, oriented: bool) -> Shapes:
    """Leaders that hold their followers."""
    if shapes.outline is not None:
        outline = shapes.outline.copy()
        for rows in _groups(leader):
            outline[rows[0]] = union(shapes.outline[rows], oriented=oriented)
        return Shapes(shapely.bounds(outline), outline)
    box = shapes.box.copy()
    np.minimum.at(box[:, :2], leader, shapes.box[:, :2])
    np.maximum.at(box[:, 2:], leader, shapes.box[:, 2:])
    return Shapes(box)


def _averaged(shapes: Shapes, score: Scores, leader: Ints, *, oriented: bool) -> Shapes:
    """Leaders at the mean of their group, weighted by score (Solovyev et al., 2021).

    The score stays the leader's: a mean would sink with each weak candidate of a strong object. An
    outline keeps its leader's form, moved and stretched to the mean of the envelopes.
    """
    count, weight = len(shapes), np.maximum(score.astype(np.float64), np.finfo(np.float32).tiny)
    total = np.bincount(leader, weight, count)
    sums = [np.bincount(leader, weight * side, count) for side in shapes.box.T]
    led = total > 0
    box = shapes.box.copy()
    box[led] = np.stack(sums, axis=1)[led] / total[led, None]
    if shapes.outline is None:
        return Shapes(box)
    outline = shapes.outline.copy()
    for first, *_ in _groups(leader):
        moved = _fitted(outline[first], shapes.box[first], box[first])
        outline[first] = oriented_box(moved) if oriented else moved
    return Shapes(shapely.bounds(outline), outline)


def _fitted(outline: shapely.Geometry, old: Boxes, new: Boxes) -> shapely.Geometry:
    """An outline whose envelope was `old`, as one whose envelope is `new`."""
    stretch = (new[2:] - new[:2]) / (old[2:] - old[:2])
    return shapely.transform(outline, lambda points: (points - old[:2]) * stretch + new[:2])


def _groups(leader: Ints) -> list[Ints]:
    """The rows of each group of more than one, its leader first."""
    order = np.argsort(leader, kind="stable")
    starts = np.flatnonzero(np.diff(leader[order], prepend=-1))[1:]
    return [rows for rows in np.split(order, starts) if len(rows) > 1]
