"""Which views are of one object: pairs that choose each other, and the groups that they make."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from swath._types import Floats, Ints, Mask


def mutual_best(tile: Ints, a: Ints, b: Ints, weight: Floats) -> Mask:
    """Which are the pairs in which each is the other's best match in the other's tile.

    Args:
        tile: int64 (n,), the tile of each thing.
        a: of each pair, one.
        b: the other, of another tile; no pair occurs twice.
        weight: how well they match. Of equals, the first in the order of things is the best.
    """
    one, other = np.concatenate([a, b]), np.concatenate([b, a])
    pair = np.tile(np.arange(len(a)), 2)
    order = np.lexsort((other, -np.tile(weight, 2), tile[other], one))
    one, other = one[order], other[order]
    best = np.diff(one, prepend=-1) != 0
    best |= np.diff(tile[other], prepend=-1) != 0
    from_both_sides: Mask = np.bincount(pair[order][best], minlength=len(a)) > 1
    return from_both_sides


def groups(tile: Ints, a: Ints, b: Ints, weight: Floats) -> Ints:
    """For each thing, the least of those that are of one object with it, int64 (n,).

    Two things of one tile never are. Where what hangs together holds such, its pairs are taken up
    from the best to the worst, and those that would bring the two together are left out.

    Args:
        tile: int64 (n,), the tile of each thing.
        a: of each pair that may be of one object, one.
        b: the other.
        weight: how well they match. Of equals, the first in the order of things go first.
    """
    whole = components(len(tile), a, b)
    order = np.lexsort((tile, whole))
    again = (np.diff(whole[order]) == 0) & (np.diff(tile[order]) == 0)
    torn = np.zeros(len(tile), dtype=np.bool_)
    torn[whole[order[1:][again]]] = True
    torn = torn[whole]
    whole[torn] = np.flatnonzero(torn)
    pairs = np.flatnonzero(torn[a])
    pairs = pairs[np.lexsort((b[pairs], a[pairs], -weight[pairs]))]
    _bring_together(whole, tile, zip(a[pairs].tolist(), b[pairs].tolist(), strict=True))
    return whole


def _bring_together(group: Ints, tile: Ints, pairs: Iterable[tuple[int, int]]) -> None:
    """Join the groups of pairs, in their order, unless both have a thing of one tile."""
    members: dict[int, list[int]] = {}
    for pair in pairs:
        one, other = sorted(int(group[i]) for i in pair)
        mine, theirs = members.get(one, [one]), members.get(other, [other])
        if one != other and not {tile[i] for i in mine} & {tile[i] for i in theirs}:
            members[one] = mine + members.pop(other, theirs)
            group[theirs] = one


def components(count: int, a: Ints, b: Ints) -> Ints:
    """For each of `count` things, the least thing that it hangs together with, int64 (count,)."""
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
