"""Decide for each group of views which are reported unchanged and which are joined."""

from __future__ import annotations

import numpy as np

from swath._types import Boxes, Ints, Mask
from swath.detection.stitching.views import Views


def decide(views: Views, group: Ints) -> tuple[Ints, Ints]:
    """Return the rows that are reported unchanged, and the rows to join within their group.

    The owner's view of a whole object is reported, and covers the other views of the object. Views
    of the group that it does not cover are decided again. So a chain of matches never loses an
    object.

    Args:
        views: Views of objects, n of them.
        group: int64 (n,), the same number for the views of one group.
    """
    part, host = views.part, ~views.guest
    owned = _in_group(group, host)
    # Without an owner's view, each tile must have assigned the object to a tile of the group.
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
    """Return which views show the object of their group's best view, itself included, (n,)."""
    leader = np.full(len(group), -1)
    leader[group[best]] = best
    leader = leader[group]
    box, led = views.seen.box, leader >= 0
    covered = led & _within(box, box[leader], views.clear)
    # A part is covered if it lies within the best view; a whole view must also contain that view.
    covered &= views.part | _within(box[leader], box, views.clear)
    covered &= views.seen.tile != views.seen.tile[leader]
    covered[best] = True
    return covered


def _within(inner: Boxes, outer: Boxes, clear: float) -> Mask:
    beyond = np.concatenate([outer[:, :2] - inner[:, :2], inner[:, 2:] - outer[:, 2:]], axis=1)
    within: Mask = beyond.max(axis=1) <= clear
    return within


def _in_group(group: Ints, member: Mask) -> Mask:
    """Return for each view whether its group has a member of the mask, (n,)."""
    found = np.zeros(len(group), dtype=np.bool_)
    found[group[member]] = True
    return found[group]


def _answered(views: Views, group: Ints) -> Mask:
    """Return whether the tile that each view names as owner has a view in its group, (n,)."""
    tiles = views.grid.count
    named, seen = group * tiles + views.owner, group * tiles + views.seen.tile
    answered: Mask = np.isin(named, seen)
    return answered


def _best(views: Views, group: Ints, member: Mask) -> Ints:
    """Return the best member of the mask in each group that has any; of equals, the first."""
    rows = np.flatnonzero(member)
    rows = rows[np.lexsort((-views.seen.score[rows], group[rows]))]
    best: Ints = rows[np.diff(group[rows], prepend=-1) != 0]
    return best
