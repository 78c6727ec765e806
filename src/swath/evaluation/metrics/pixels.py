"""Compute metrics of masks from pixel counts, which can be summed over windows and scenes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath._types import Floats, Ints

if TYPE_CHECKING:
    from numpy.typing import NDArray


def count_pixels(
    truth: NDArray[np.uint8] | NDArray[np.uint16],
    prediction: NDArray[np.uint8] | NDArray[np.uint16],
    valid: NDArray[np.bool_],
    classes: int,
) -> Ints:
    """Count pixels by class of the ground truth and of the prediction.

    Args:
        truth: (rows, cols) classes of the ground truth; `classes` is the background.
        prediction: (rows, cols) predicted classes; `classes` is the background.
        valid: (rows, cols), True for the pixels to count.
        classes: Number of classes.

    Returns:
        (classes + 1, classes + 1): rows are the ground truth, columns the prediction.
    """
    side = classes + 1
    cells = truth[valid].astype(np.int64) * side + prediction[valid]
    return np.bincount(cells, minlength=side * side).reshape(side, side)


def pixel_iou(counts: Ints) -> Floats:
    """Return the IoU (classes + 1,) of each class, the background last; NaN without pixels.

    Args:
        counts: (classes + 1, classes + 1) numbers of pixels from `count_pixels`.
    """
    hits = np.diag(counts)
    return _ratio(hits, counts.sum(axis=0) + counts.sum(axis=1) - hits)


def pixel_f1(counts: Ints) -> Floats:
    """Return the pixel F1 or Dice (classes + 1,), the background last; NaN without pixels.

    Args:
        counts: (classes + 1, classes + 1) numbers of pixels from `count_pixels`.
    """
    return _ratio(2 * np.diag(counts), counts.sum(axis=0) + counts.sum(axis=1))


def _ratio(part: Ints, whole: Ints) -> Floats:
    share: Floats = np.divide(part, whole, out=np.full(len(part), np.nan), where=whole > 0)
    return share
