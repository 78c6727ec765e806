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
from swath.detection.boxes import overlapping_pairs, overlapping_pairs_between
from swath.detection.overlap import BoxesOrPolygons, min_area_rotated_rect, union
from swath.models.nms_options import NmsOptions, OverlapMetric

Scores = NDArray[np.float32]
Labels = NDArray[np.int16]
NmsResult = tuple[Boxes, Scores, Labels, Polygons | None]

_FIRST_BLOCK_CANDIDATES = 1024
"""Number of the best candidates that are compared with one another first."""


def apply_nms(
    boxes: Boxes,
    score: Scores,
    label: Labels,
    matching: NmsOptions,
    *,
    outline: Polygons | None = None,
    is_oriented: bool = False,
    score_threshold: float = 0.0,
) -> NmsResult:
    """Return the candidates that remain in one tile, best first; ties in the given order.

    Args:
        boxes: float64 (n, 4), x0, y0, x1, y1; the envelopes of the outlines.
        score: float32 (n,), 0 to 1.
        label: int16 (n,), indices into the package's classes.
        matching: Rule that decides which candidates of a class show one object, and how these are
            reduced.
        outline: (n,) valid shapely Polygons; None if there are only boxes.
        is_oriented: Whether the outlines are oriented boxes, so that joined outlines must be too.
        score_threshold: Lowest score, 0 to 1. Candidates below it are dropped before the reduction,
            and with soft-NMS after it as well.

    Returns:
        Boxes, scores, labels and outlines with the types of the arguments.
    """
    above_threshold = np.flatnonzero(score >= score_threshold)
    order = above_threshold[np.argsort(-score[above_threshold], kind="stable")]
    shapes = BoxesOrPolygons(boxes, outline).take(order)
    score, label = score[order], label[order]
    if matching.strategy == "soft-nms":
        score = _soft_nms_scores(shapes, score, label, matching, score_threshold)
        kept = np.argsort(-score, kind="stable")[: np.count_nonzero(score >= score_threshold)]
    elif matching.strategy == "none":
        kept = np.arange(len(order))
    else:
        leader = nms_assign(shapes, label, matching.metric, matching.threshold)
        kept = np.flatnonzero(leader == np.arange(len(leader)))
        shapes = _merge_groups(shapes, score, leader, matching, is_oriented=is_oriented)
    shapes = shapes.take(kept)
    return shapes.box, score[kept], label[kept], shapes.outline


def nms_assign(
    shapes: BoxesOrPolygons, label: Labels, metric: OverlapMetric, threshold: float
) -> Ints:
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
    undecided, size = np.arange(len(shapes)), _FIRST_BLOCK_CANDIDATES
    while len(undecided):
        block, undecided = undecided[:size], undecided[size:]
        better, worse = _overlapping_in_class(shapes, label, block, metric, threshold)
        kept = block[greedy_suppress(len(block), better, worse)]
        leader[kept] = kept
        _assign_leaders(leader, block[better], block[worse])
        if len(undecided):
            a, b = overlapping_pairs_between(shapes.box[kept], shapes.box[undecided])
            _assign_leaders(
                leader, *_select_matches(shapes, label, kept[a], undecided[b], metric, threshold)
            )
            undecided = undecided[leader[undecided] < 0]
        size *= 2
    return leader


def greedy_suppress(count: int, winner: Ints, loser: Ints) -> Mask:
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
    undecided = ~kept
    while len(winner):
        undecided[loser[kept[winner]]] = False
        both = undecided[winner] & undecided[loser]
        winner, loser = winner[both], loser[both]
        free = undecided.copy()
        free[loser] = False
        kept |= free
        undecided &= ~free
        remaining = undecided[loser]
        winner, loser = winner[remaining], loser[remaining]
    return kept


def _overlapping_in_class(
    shapes: BoxesOrPolygons, label: Labels, rows: Ints, metric: OverlapMetric, threshold: float
) -> tuple[Ints, Ints]:
    """Return pairs of `rows` with one class and an overlap above the threshold, the better first.

    The pairs are indices into `rows`.
    """
    few = shapes.take(rows)
    return _select_matches(few, label[rows], *overlapping_pairs(few.box), metric, threshold)


def _select_matches(
    shapes: BoxesOrPolygons,
    label: Labels,
    a: Ints,
    b: Ints,
    metric: OverlapMetric,
    threshold: float,
) -> tuple[Ints, Ints]:
    same = label[a] == label[b]
    a, b = a[same], b[same]
    match = shapes.overlap(a, b, metric) > threshold
    return a[match], b[match]


def _assign_leaders(leader: Ints, better: Ints, worse: Ints) -> None:
    """Assign a leader to candidates without one: the best kept candidate that overlaps each."""
    has_leader = (leader[better] == better) & (leader[worse] < 0)
    # Written from the worst to the best: the last value written remains.
    order = np.argsort(-better[has_leader], kind="stable")
    leader[worse[has_leader][order]] = better[has_leader][order]


def _soft_nms_scores(
    shapes: BoxesOrPolygons, score: Scores, label: Labels, matching: NmsOptions, threshold: float
) -> Scores:
    """Return the scores (n,) after soft-NMS with a Gaussian (Bodla et al., 2017).

    The sequential loop takes the best candidate, lowers its neighbors' scores and repeats. If no
    open neighbor outranks a candidate, none will before its turn. So each round takes all such
    candidates at once.
    """
    a, b = _overlapping_in_class(shapes, label, np.arange(len(shapes)), matching.metric, 0.0)
    a, b = np.concatenate([a, b]), np.concatenate([b, a])
    decay = np.exp(-(shapes.overlap(a, b, matching.metric) ** 2) / matching.sigma)
    scores: Floats = score.astype(np.float64)
    undecided = np.ones(len(scores), dtype=np.bool_)
    while len(a):
        outranked = (scores[a] > scores[b]) | ((scores[a] == scores[b]) & (a < b))
        processed = undecided.copy()
        processed[b[outranked]] = False
        undecided &= ~processed
        affected = processed[a]
        np.multiply.at(scores, b[affected], decay[affected])
        undecided &= scores >= threshold
        both = undecided[a] & undecided[b]
        a, b, decay = a[both], b[both], decay[both]
    return scores.astype(np.float32)


def _merge_groups(
    shapes: BoxesOrPolygons, score: Scores, leader: Ints, matching: NmsOptions, *, is_oriented: bool
) -> BoxesOrPolygons:
    """Return shapes whose leaders are combined by the strategy; other rows are undefined."""
    if matching.strategy == "nmm":
        return _merge_to_union(shapes, leader, is_oriented=is_oriented)
    if matching.strategy == "wbf":
        return _merge_to_mean(shapes, score, leader, is_oriented=is_oriented)
    return shapes


def _merge_to_union(shapes: BoxesOrPolygons, leader: Ints, *, is_oriented: bool) -> BoxesOrPolygons:
    """Return shapes whose leaders contain their followers."""
    if shapes.outline is not None:
        outline = shapes.outline.copy()
        for rows in _merged_groups(leader):
            outline[rows[0]] = union(shapes.outline[rows], is_oriented=is_oriented)
        return BoxesOrPolygons(shapely.bounds(outline), outline)
    box = shapes.box.copy()
    np.minimum.at(box[:, :2], leader, shapes.box[:, :2])
    np.maximum.at(box[:, 2:], leader, shapes.box[:, 2:])
    return BoxesOrPolygons(box)


def _merge_to_mean(
    shapes: BoxesOrPolygons, score: Scores, leader: Ints, *, is_oriented: bool
) -> BoxesOrPolygons:
    """Return shapes whose leaders are the mean of their group, weighted by score.

    The method is that of Solovyev et al., 2021, but the score stays the leader's: a mean would sink
    with each weak candidate of a strong object. An outline keeps its leader's form, shifted and
    scaled to the mean of the envelopes.
    """
    count, weight = len(shapes), np.maximum(score.astype(np.float64), np.finfo(np.float32).tiny)
    total = np.bincount(leader, weight, count)
    sums = [np.bincount(leader, weight * side, count) for side in shapes.box.T]
    has_leader = total > 0
    box = shapes.box.copy()
    box[has_leader] = np.stack(sums, axis=1)[has_leader] / total[has_leader, None]
    if shapes.outline is None:
        return BoxesOrPolygons(box)
    outline = shapes.outline.copy()
    for first, *_ in _merged_groups(leader):
        moved = _fit_to_box(outline[first], shapes.box[first], box[first])
        outline[first] = min_area_rotated_rect(moved) if is_oriented else moved
    return BoxesOrPolygons(shapely.bounds(outline), outline)


def _fit_to_box(outline: shapely.Geometry, old: Boxes, new: Boxes) -> shapely.Geometry:
    """Return an outline scaled and shifted from the envelope `old` to the envelope `new`."""
    stretch = (new[2:] - new[:2]) / (old[2:] - old[:2])
    return shapely.transform(outline, lambda points: (points - old[:2]) * stretch + new[:2])


def _merged_groups(leader: Ints) -> list[Ints]:
    """Return the rows of each group of more than one candidate, its leader first."""
    order = np.argsort(leader, kind="stable")
    starts = np.flatnonzero(np.diff(leader[order], prepend=-1))[1:]
    return [rows for rows in np.split(order, starts) if len(rows) > 1]
