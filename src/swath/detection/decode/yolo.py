"""Decode one output with a row of numbers for each candidate, as YOLO models return it.

A row is a box, followed by what the head defines: one score per class (`rows`), an objectness and
one score per class (`objectness`), or a score and a class (`labelled`, for models that include
NMS).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swath.detection.decode.candidates import Candidates, ScoredRows, to_candidates
from swath.detection.decode.class_labels import select_labeled
from swath.detection.decode.outputs import Scores, apply_activation, get_output, min_raw_score
from swath.models.output_spec import COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints
    from swath.models.output_spec import OutputSpec
    from swath.models.runtimes.base import Outputs


def decode(outputs: Outputs, answer: OutputSpec, size: int) -> Candidates:
    """Return the candidates of one tile.

    Raises:
        ModelOutputError: The output differs from the package's description, or holds NaN.
    """
    extra = {"rows": len(answer.classes), "objectness": 1 + len(answer.classes), "labelled": 2}
    channels = to_channels_first(outputs, answer, COLUMNS[answer.box_format] + extra[answer.head])
    numbers, rest = split_box_channels(channels, answer)
    select = {
        "rows": select_best_class,
        "objectness": _select_with_objectness,
        "labelled": _select_labeled_rows,
    }[answer.head]
    scored = select(rest, answer)
    return to_candidates(numbers[:, scored.row].T, scored, answer, size)


def to_channels_first(outputs: Outputs, answer: OutputSpec, count: int) -> NDArray[Any]:
    """Return the output as (channels, candidates), for either layout of the output."""
    if answer.output_layout == "channels_first":
        return get_output(outputs, "rows", answer, (count, -1))
    return get_output(outputs, "rows", answer, (-1, count)).T


def split_box_channels(
    channels: NDArray[Any], answer: OutputSpec
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the channels of the box, in the order of its format, and the other channels."""
    columns = COLUMNS[answer.box_format]
    if answer.box_format == "cxcywhr" and answer.angle == "last":
        return np.concatenate([channels[: columns - 1], channels[-1:]]), channels[columns - 1 : -1]
    return channels[:columns], channels[columns:]


def select_best_class(scores: NDArray[Any], answer: OutputSpec) -> ScoredRows:
    """Return the best class of each candidate whose score reaches the threshold.

    Args:
        scores: (classes, candidates), values as the model returns them.
        answer: Description of the outputs, with the activation and the threshold.
    """
    reaches_threshold = scores >= min_raw_score(answer)
    rows = np.flatnonzero(
        reaches_threshold[0] if len(reaches_threshold) == 1 else reaches_threshold.any(axis=0)
    )
    few = apply_activation(scores[:, rows], answer)
    label = few.argmax(axis=0) if few.size else rows
    return _select_above_threshold(rows, few[label, np.arange(len(rows))], label, answer)


def _select_with_objectness(rest: NDArray[Any], answer: OutputSpec) -> ScoredRows:
    # A class score is at most 1, so the objectness must reach the threshold too.
    rows = np.flatnonzero(rest[0] >= min_raw_score(answer))
    few = apply_activation(rest[:, rows], answer)
    label = few[1:].argmax(axis=0) if few.size else rows
    return _select_above_threshold(
        rows, few[0] * few[1 + label, np.arange(len(rows))], label, answer
    )


def _select_labeled_rows(rest: NDArray[Any], answer: OutputSpec) -> ScoredRows:
    score, label = rest
    return select_labeled(score, label, answer)


def _select_above_threshold(
    rows: Ints, score: Scores, label: Ints, answer: OutputSpec
) -> ScoredRows:
    reaches_threshold = score >= np.float32(answer.score_threshold)
    return ScoredRows(rows[reaches_threshold], score[reaches_threshold], label[reaches_threshold])
