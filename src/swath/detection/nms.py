"""Reduce one tile's raw candidates to one per object within each class, by NMS and its variants.

All strategies but soft-NMS start from the groups of greedy NMS. The best candidate leads a group,
and candidates that overlap the leader by more than the threshold follow it. Candidates are compared
as the model returned them, never with the grown shape of a group, and each belongs to exactly one
group. So no candidate is dropped because its leader has grown, and no group spreads along a row of
objects.

The code is swath's own: torchvision's NMS needs torch, which most images do not contain, and lsnms
supports only the IoU of boxes. Neither compares outlines, or divides the overlap by the smaller
box.
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
"""Number of the best candidates that are compared with one another first."""


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
    """Return the candidates that remain in one tile, best first; ties in the given order.

    Args:
        boxes: float64 (n, 4), x0, y0, x1, y1; the envelopes of the outlines.
        score: float32 (n,), 0 to 1.
        label: int16 (n,), indices into the package's classes.
        matching: Rule that decides which candidates of a class show one object, and how these are
            reduced.
        outline: (n,) valid shapely Polygons; None if there are only boxes.
        oriented: Whether the outlines are oriented boxes, so that joined outlines must be too.
        score_threshold: Lowest score, 0 to 1. Candidates below it are dropped before the reduction,
            and with soft-NMS after it as well.

    Returns:
        Boxes, scores, labels and outlines with the types of the arguments.
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
    """Return the row of each candidate's leader in greedy NMS, (n,).

    A kept candidate leads itself.

    The candidates are processed in blocks, the best first. Kept candidates of a block drop later
    candidates that they overlap. So the many candidates of one object are not all compared with one
    another, and the number of pairs grows with the kept candidates.

    Args:
        shapes: Candidates, best first.
        label: int16 (n,), indices into the package's classes.
        metric: Measure of the overlap of two candidates.
        threshold: Overlap above which a candidate follows a better one.
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
    """Return which of `count` items a sequential greedy loop keeps, (count,).

    The loop takes the items in order, and each kept item drops the items that it wins against. Here
    each round decides all items that no undecided item wins against. The number of rounds is the
    length of the longest chain of rivals, not the number of items.

    Args:
        count: Number of items.
        winner: (pairs,) the earlier item of each pair of rivals.
        loser: (pairs,) the later item of each pair; the pairs must form no cycle.
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
    """Return pairs of `rows` with one class and an overlap above the threshold, the better first.

    The pairs are indices into `rows`.
    """
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
    """Assign a leader to candidates without one: the best kept candidate that overlaps each."""
    led = (leader[better] == better) & (leader[worse] < 0)
    # Written from the worst to the best: the last value written remains.
    order = np.argsort(-better[led], kind="stable")
    leader[worse[led][order]] = better[led][order]


def _decayed(
    shapes: Shapes, score: Scores, label: Labels, matching: Matching, threshold: float
) -> Scores:
    """Return the scores (n,) after soft-NMS with a Gaussian (Bodla et al., 2017).

    The sequential loop takes the best candidate, lowers its neighbors' scores and repeats. If no
    open neighbor outranks a candidate, none will before its turn. So each round takes all such
    candidates at once.
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
    """Return shapes whose leaders are combined by the strategy; other rows are undefined."""
    if matching.strategy == "nmm":
        return _grown(shapes, leader, oriented=oriented)
    if matching.strategy == "wbf":
        return _averaged(shapes, score, leader, oriented=oriented)
    return shapes


def _grown(shapes: Shapes, leader: Ints, *, oriented: bool) -> Shapes:
    """Return shapes whose leaders contain their followers."""
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
    """Return shapes whose leaders are the mean of their group, weighted by score.

    The method is that of Solovyev et al., 2021, but the score stays the leader's: a mean would sink
    with each weak candidate of a strong object. An outline keeps its leader's form, shifted and
    scaled to the mean of the envelopes.
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
    """Return an outline scaled and shifted from the envelope `old` to the envelope `new`."""
    stretch = (new[2:] - new[:2]) / (old[2:] - old[:2])
    return shapely.transform(outline, lambda points: (points - old[:2]) * stretch + new[:2])


def _groups(leader: Ints) -> list[Ints]:
    """Return the rows of each group of more than one candidate, its leader first."""
    order = np.argsort(leader, kind="stable")
    starts = np.flatnonzero(np.diff(leader[order], prepend=-1))[1:]
    return [rows for rows in np.split(order, starts) if len(rows) > 1]
