"""Match the boxes of a run to the ships that were drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_IOU = 0.5
"""Minimum IoU for a box to match a ship."""


def match_ships(boxes: NDArray[np.float64], ships: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether each box is the best match of a ship (n,), matching the best pairs first.

    Both arguments are (n, 4): x0, y0, x1, y1 in px.
    """
    ious = _compute_iou(boxes, ships)
    hits = np.zeros(len(boxes), np.bool_)
    while ious.size and ious.max() >= MIN_IOU:
        box, ship = np.unravel_index(ious.argmax(), ious.shape)
        ious[box, :] = ious[:, ship] = 0
        hits[box] = True
    return hits


def _compute_iou(boxes: NDArray[np.float64], ships: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each box with each ship: (boxes, ships)."""
    a, b = boxes[:, None], ships[None]
    sides = np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2])
    shared = sides.clip(0).prod(axis=-1)
    areas = [(part[..., 2:] - part[..., :2]).prod(axis=-1) for part in (a, b)]
    iou: NDArray[np.float64] = shared / (areas[0] + areas[1] - shared)
    return iou
