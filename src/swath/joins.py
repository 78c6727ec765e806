"""What hangs together: pairs that choose each other, and the groups that such pairs make."""

from __future__ import annotations

import numpy as np

from swath.boxes import Floats, Indices


def mutual_best(tile: Indices, a: Indices, b: Indices, weight: Floats) -> tuple[Indices, Indices]:
    """Those pairs in which each is the other's best match in the other's tile.

    Args:
        tile: int64 (n,), the tile of each thing.
        a: of each pair, one.
        b: the other, of another tile; no pair occurs twice.
        weight: how well they match. Of equals, the first in the order of things is the best.
    """
    one, other, weight = np.concatenate([a, b]), np.concatenate([b, a]), np.tile(weight, 2)
    pair = np.tile(np.arange(len(a)), 2)
    order = np.lexsort((other, -weight, tile[other], one))
    one, other = one[order], other[order]
    best = np.diff(one, prepend=-1) != 0
    best |= np.diff(tile[other], prepend=-1) != 0
    from_both_sides = np.bincount(pair[order][best], minlength=len(a)) > 1
    return a[from_both_sides], b[from_both_sides]


def components(count: int, a: Indices, b: Indices) -> Indices:
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
