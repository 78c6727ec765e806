"""From a model's output to boxes in a tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.boxes import Boxes
from swath.errors import ModelOutputError
from swath.matching import Matching
from swath.suppression import reduce_candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.heads.answer import BoxFormat
    from swath.mlm import ModelDescription

_BOX = 4


def decode(
    raw: NDArray[np.float32], description: ModelDescription
) -> tuple[Boxes, NDArray[np.float32], NDArray[np.int16]]:
    """Boxes, scores and labels of one tile, best first: above the threshold, after NMS by class.

    Args:
        raw: the output for one tile, (channels, candidates) or (candidates, channels) as the
            package says; the channels are four of the box, then a score a class.
        description: what the package says of its output.

    Returns:
        Boxes float64 (n, 4) x0, y0, x1, y1 in px of the tile, scores float32, labels int16.

    Raises:
        ModelOutputError: the output has another shape, or holds NaN.
    """
    rows = _by_candidate(raw, description)
    label = rows[:, _BOX:].argmax(axis=1)
    score = rows[np.arange(len(rows)), _BOX + label]
    seen = score >= description.score_threshold
    boxes = to_xyxy(rows[seen, :_BOX].astype(np.float64), description.box_format)
    if not np.isfinite(boxes).all():
        raise ModelOutputError("the model returned a box with an infinite side")
    solid = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)
    boxes, score, label = boxes[solid], score[seen][solid], label[seen][solid].astype(np.int16)
    matching = Matching(threshold=description.iou_threshold)
    return reduce_candidates(boxes, score, label, matching)[:3]


def to_xyxy(boxes: Boxes, box_format: BoxFormat) -> Boxes:
    """Boxes as upper left and lower right corner."""
    first, second = boxes[:, :2], boxes[:, 2:]
    if box_format == "xyxy":
        return boxes
    low = first - second / 2 if box_format == "cxcywh" else first
    return np.concatenate([low, low + second], axis=1)


def _by_candidate(raw: NDArray[np.float32], description: ModelDescription) -> NDArray[np.float32]:
    """The output as (candidates, channels)."""
    if raw.ndim != 2:  # noqa: PLR2004
        raise ModelOutputError(f"the model returned an array of shape {raw.shape} for one tile")
    rows = raw.T if description.output_layout == "channels_first" else raw
    if rows.shape[1] != _BOX + len(description.classes):
        raise ModelOutputError(
            f"the model returned {rows.shape[1]} channels a candidate; a box and "
            f"{len(description.classes)} scores are {_BOX + len(description.classes)}"
        )
    if np.isnan(rows).any():
        raise ModelOutputError("the model returned NaN")
    return rows
