"""Masks of COCO: runs of pixels, counted down the columns, in a list or in letters.

The letters are those of the COCO API: groups of five bits with a sixth for "more follows", from
the third count on as differences to the count before the last.
https://github.com/cocodataset/cocoapi/blob/master/common/maskApi.c
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_FIRST_LETTER = 48
_MORE = 0x20
_SIGN = 0x10
_BITS = 5


def decode(counts: Sequence[int] | str, size: Sequence[int]) -> NDArray[np.bool_]:
    """A mask, (rows, cols).

    Args:
        counts: lengths of runs of pixels that are not, are, are not … of the object.
        size: rows and columns.

    Raises:
        ValueError: the runs do not make up a mask of that size.
    """
    runs = _unpacked(counts) if isinstance(counts, str) else np.asarray(counts, np.int64)
    rows, cols = size
    if (runs < 0).any() or runs.sum() != rows * cols:
        raise ValueError(f"its runs make {int(runs.sum())} px, and {rows} x {cols} are wanted")
    values = np.arange(len(runs)) % 2 == 1
    return np.repeat(values, runs).reshape(cols, rows).T


def _unpacked(letters: str) -> NDArray[np.int64]:
    counts: list[int] = []
    value = shift = 0
    for letter in letters.encode():
        group = letter - _FIRST_LETTER
        value |= (group & 0x1F) << shift
        shift += _BITS
        if group & _MORE:
            continue
        if group & _SIGN:
            value |= -1 << shift
        counts.append(value + counts[-2] if len(counts) > 2 else value)  # noqa: PLR2004
        value = shift = 0
    return np.array(counts, np.int64)
