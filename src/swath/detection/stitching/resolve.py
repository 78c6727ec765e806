"""Of views that hang together, which stand for an object as they are, and which are joined."""

from __future__ import annotations

import numpy as np

from swath._types import Boxes, Ints, Mask
from swath.detection.stitching.views import Views


def decide(views: Views, group: Ints) -> tuple[Ints, Ints]:
    """The rows that stand as they are, and those that are to be joined with their group's others.

    An owner's view of the whole stands, and covers what others saw of the same. What of a group it
    does not cover is looked at again, so that a chain of likenesses never swallows an object.

    Args:
        views: of objects.
        group: int64 (n,), the same number for views that hang together.
    """
    part, host = views.part, ~views.guest
    owned = _in_group(group, host)
    # Without an owner's view, each tile must have taken the object for another's of the group.
    left = owned | ~_in_group(group, ~_answered(views, group))
    standing, seen_whole = [], _in_group(group, host & ~part)
    while len(best := _best(views, group, left & host & ~part)):
        standing.append(best)
        left &= ~_covered(views, group, best)
    chosen = left & part & (_in_group(group, left & part & host) | ~seen_whole)
    guests = left & ~seen_whole & ~_in_group(group, chosen)
    standing.append(_best(views, group, guests))
    return np.concatenate(standing), np.flatnonzero(chosen)


def _covered(views: Views, group: Ints, best: Ints) -> Mask:
    """What is of one object with the best view of its group, and that view itself."""
    leader = np.full(len(group), -1)
    leader[group[best]] = best
    leader = leader[group]
    box, led = views.seen.box, leader >= 0
    covered = led & _within(box, box[leader], views.clear)
    # A part is covered where it lies; a whole view only by its like.
    covered &= views.part | _within(box[leader], box, views.clear)
    covered &= views.seen.tile != views.seen.tile[leader]
    covered[best] = True
    return covered


def _within(inner: Boxes, outer: Boxes, clear: float) -> Mask:
    beyond = np.concatenate([outer[:, :2] - inner[:, :2], inner[:, 2:] - outer[:, 2:]], axis=1)
    within: Mask = beyond.max(axis=1) <= clear
    return within


def _in_group(group: Ints, member: Mask) -> Mask:
    """Of each view, whether its group has any such member."""
    found = np.zeros(len(group), dtype=np.bool_)
    found[group[member]] = True
    return found[group]


def _answered(views: Views, group: Ints) -> Mask:
    """Of each view, whether the tile that it takes for the owner saw the same."""
    tiles = views.grid.count
    named, seen = group * tiles + views.owner, group * tiles + views.seen.tile
    answered: Mask = np.isin(named, seen)
    return answered


def _best(views: Views, group: Ints, member: Mask) -> Ints:
    """Of each group, the best such member, if there is any; of equals, the first."""
    rows = np.flatnonzero(member)
    rows = rows[np.lexsort((-views.seen.score[rows], group[rows]))]
    best: Ints = rows[np.diff(group[rows], prepend=-1) != 0]
    return best
