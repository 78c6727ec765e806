"""Decide for each group of views which are reported unchanged and which are joined."""

from __future__ import annotations

import numpy as np

from swath._types import Boxes, Ints, Mask
from swath.detection.stitching.views import TileViews


def resolve_groups(views: TileViews, group: Ints) -> tuple[Ints, Ints]:
    """Return the rows that are reported unchanged, and the rows to join within their group.

    The owner's view of a whole object is reported, and covers the other views of the object. Views
    of the group that it does not cover are decided again. So a chain of matches never loses an
    object.

    Args:
        views: Views of objects, n of them.
        group: int64 (n,), the same number for the views of one group.
    """
    is_truncated, owned = views.is_truncated, ~views.is_not_owned
    has_owner = _group_has(group, owned)
    # Without an owner's view, each tile must have assigned the object to a tile of the group.
    uncovered = has_owner | ~_group_has(group, ~_owner_has_view(views, group))
    unchanged, has_whole_view = [], _group_has(group, owned & ~is_truncated)
    while len(best := _best_in_group(views, group, uncovered & owned & ~is_truncated)):
        unchanged.append(best)
        uncovered &= ~_covered(views, group, best)
    joined = (
        uncovered
        & is_truncated
        & (_group_has(group, uncovered & is_truncated & owned) | ~has_whole_view)
    )
    unowned = uncovered & ~has_whole_view & ~_group_has(group, joined)
    unchanged.append(_best_in_group(views, group, unowned))
    return np.concatenate(unchanged), np.flatnonzero(joined)


def _covered(views: TileViews, group: Ints, best: Ints) -> Mask:
    """Return which views show the object of their group's best view, itself included, (n,)."""
    leader = np.full(len(group), -1)
    leader[group[best]] = best
    leader = leader[group]
    box, has_leader = views.detections.box, leader >= 0
    covered = has_leader & _within(box, box[leader], views.max_side_shift)
    # A part is covered if it lies within the best view; a whole view must also contain that view.
    covered &= views.is_truncated | _within(box[leader], box, views.max_side_shift)
    covered &= views.detections.tile != views.detections.tile[leader]
    covered[best] = True
    return covered


def _within(inner: Boxes, outer: Boxes, max_side_shift: float) -> Mask:
    beyond = np.concatenate([outer[:, :2] - inner[:, :2], inner[:, 2:] - outer[:, 2:]], axis=1)
    within: Mask = beyond.max(axis=1) <= max_side_shift
    return within


def _group_has(group: Ints, member: Mask) -> Mask:
    """Return for each view whether its group has a member of the mask, (n,)."""
    has_member = np.zeros(len(group), dtype=np.bool_)
    has_member[group[member]] = True
    return has_member[group]


def _owner_has_view(views: TileViews, group: Ints) -> Mask:
    """Return whether the tile that each view names as owner has a view in its group, (n,)."""
    tiles = views.grid.count
    owner_keys, tile_keys = group * tiles + views.owner, group * tiles + views.detections.tile
    has_view: Mask = np.isin(owner_keys, tile_keys)
    return has_view


def _best_in_group(views: TileViews, group: Ints, member: Mask) -> Ints:
    """Return the best member of the mask in each group that has any; of equals, the first."""
    rows = np.flatnonzero(member)
    rows = rows[np.lexsort((-views.detections.score[rows], group[rows]))]
    best: Ints = rows[np.diff(group[rows], prepend=-1) != 0]
    return best
