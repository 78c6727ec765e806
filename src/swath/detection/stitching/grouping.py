"""Group the views of one object: keep mutual best matches, and build groups of them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from swath._types import Floats, Ints, Mask


def is_mutual_best(tile: Ints, a: Ints, b: Ints, weight: Floats) -> Mask:
    """Return a mask of the pairs whose views are each other's best match, (pairs,).

    A view has one best match in each other tile.

    Args:
        tile: int64 (n,), the tile of each view.
        a: (pairs,) rows of the first views.
        b: (pairs,) rows of the second views, of another tile; no pair occurs twice.
        weight: (pairs,) quality of the match. Of equal matches, the first row is the best.
    """
    view, other = np.concatenate([a, b]), np.concatenate([b, a])
    pair = np.tile(np.arange(len(a)), 2)
    order = np.lexsort((other, -np.tile(weight, 2), tile[other], view))
    view, other = view[order], other[order]
    best = np.diff(view, prepend=-1) != 0
    best |= np.diff(tile[other], prepend=-1) != 0
    from_both_sides: Mask = np.bincount(pair[order][best], minlength=len(a)) > 1
    return from_both_sides


def group_views(tile: Ints, a: Ints, b: Ints, weight: Floats) -> Ints:
    """Return the group of each view: the lowest row of the views of the same object, int64 (n,).

    Two views of one tile are never in one group. If a connected component contains two such views,
    its pairs are applied from the best to the worst. Pairs that would bring the two into one group
    are left out.

    Args:
        tile: int64 (n,), the tile of each view.
        a: (pairs,) rows of the first views of pairs that may show one object.
        b: (pairs,) rows of the second views.
        weight: (pairs,) quality of the match. Equal matches are applied in the order of rows.
    """
    whole = connected_components(len(tile), a, b)
    order = np.lexsort((tile, whole))
    again = (np.diff(whole[order]) == 0) & (np.diff(tile[order]) == 0)
    split = np.zeros(len(tile), dtype=np.bool_)
    split[whole[order[1:][again]]] = True
    split = split[whole]
    whole[split] = np.flatnonzero(split)
    pairs = np.flatnonzero(split[a])
    pairs = pairs[np.lexsort((b[pairs], a[pairs], -weight[pairs]))]
    _join_groups(whole, tile, zip(a[pairs].tolist(), b[pairs].tolist(), strict=True))
    return whole


def _join_groups(group: Ints, tile: Ints, pairs: Iterable[tuple[int, int]]) -> None:
    """Join the groups of pairs in order, unless both groups have a view of the same tile."""
    members: dict[int, list[int]] = {}
    for pair in pairs:
        one, other = sorted(int(group[i]) for i in pair)
        mine, theirs = members.get(one, [one]), members.get(other, [other])
        if one != other and not {tile[i] for i in mine} & {tile[i] for i in theirs}:
            members[one] = mine + members.pop(other, theirs)
            group[theirs] = one


def connected_components(count: int, a: Ints, b: Ints) -> Ints:
    """Return the connected component of each item: its lowest member, int64 (count,).

    Args:
        count: Number of items.
        a: (pairs,) first items of connected pairs.
        b: (pairs,) second items.
    """
    root = np.arange(count)
    while len(a):
        low = np.minimum(root[a], root[b])
        before = root.copy()
        np.minimum.at(root, before[a], low)
        np.minimum.at(root, before[b], low)
        root = root[root]
        if np.array_equal(root, before):
            break
    return root
