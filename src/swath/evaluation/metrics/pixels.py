"""Figures of masks, from counts of pixels that add up over windows and scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath._types import Floats, Ints

if TYPE_CHECKING:
    from numpy.typing import NDArray


def count_pixels(
    known: NDArray[np.uint8] | NDArray[np.uint16],
    seen: NDArray[np.uint8] | NDArray[np.uint16],
    valid: NDArray[np.bool_],
    classes: int,
) -> Ints:
    """How many pixels of each known class were seen as each class.

    Args:
        known: (rows, cols) numbers of classes; `classes` stands for the background.
        seen: the same of what a model says.
        valid: (rows, cols), True where the scene has data: other pixels are not counted.
        classes: how many there are.

    Returns:
        (classes + 1, classes + 1): rows are what is known, columns what was seen.
    """
    side = classes + 1
    places = known[valid].astype(np.int64) * side + seen[valid]
    return np.bincount(places, minlength=side * side).reshape(side, side)


def pixel_iou(counts: Ints) -> Floats:
    """Each class's intersection over union, the background's last; NaN where it is nowhere."""
    hits = np.diag(counts)
    return _ratio(hits, counts.sum(axis=0) + counts.sum(axis=1) - hits)


def pixel_f1(counts: Ints) -> Floats:
    """Each class's F1 over pixels (its Dice), the background's last; NaN where it is nowhere."""
    return _ratio(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1))


def _ratio(part: Ints, whole: Ints) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return share
