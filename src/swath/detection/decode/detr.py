"""Decode logits and boxes in two outputs, as DETR models return them: one object per query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.detection.decode.candidates import Candidates, ScoredRows, to_candidates
from swath.detection.decode.outputs import get_output, softmax_scores
from swath.detection.decode.yolo import select_best_class
from swath.models.output_spec import BOX_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import OutputSpec
    from swath.models.runtimes.base import Outputs


def decode(outputs: Outputs, output_spec: OutputSpec, size: int) -> Candidates:
    """Return the candidates of one tile.

    The scores of a softmax have a last column for "no object", even if the model computes it.

    Raises:
        ModelOutputError: The outputs differ from the package's description, or hold NaN.
    """
    classes = len(output_spec.classes)
    has_no_object = output_spec.activation == "softmax"
    shapes = [(-1, classes + has_no_object)]
    if output_spec.activation == "none":
        shapes.append((-1, classes + 1))
    logits = get_output(outputs, "logits", output_spec, *shapes)
    boxes = get_output(
        outputs, "boxes", output_spec, (len(logits), BOX_COLUMNS[output_spec.box_format])
    )
    scored = (
        _softmax(logits, output_spec)
        if has_no_object
        else select_best_class(logits[:, :classes].T, output_spec)
    )
    return to_candidates(boxes[scored.row], scored, output_spec, size)


def _softmax(logits: NDArray[np.floating], output_spec: OutputSpec) -> ScoredRows:
    """Return the best class of each query; the last column of the logits is "no object"."""
    logits = logits.astype(np.float32)
    label = logits[:, :-1].argmax(axis=1)
    score = softmax_scores(logits[np.arange(len(logits)), label], logits.T)
    rows = np.flatnonzero(score >= output_spec.score_threshold)
    return ScoredRows(rows, score[rows], label[rows])
