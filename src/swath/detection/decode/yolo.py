"""Decode one output with a row of numbers for each candidate, as YOLO models return it.

A row is a box, followed by what the head defines: one score per class (`rows`), an objectness and
one score per class (`objectness`), or a score and a class (`labeled`, for models that include
NMS).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swath.detection.decode.candidates import Candidates, ScoredRows, to_candidates
from swath.detection.decode.class_labels import select_labeled
from swath.detection.decode.outputs import Scores, apply_activation, get_output, min_raw_score
from swath.models.output_spec import BOX_COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints
    from swath.models.output_spec import OutputSpec
    from swath.models.runtimes.base import Outputs


def decode(outputs: Outputs, output_spec: OutputSpec, size: int) -> Candidates:
    """Return the candidates of one tile.

    Raises:
        ModelOutputError: The output differs from the package's description, or holds NaN.
    """
    extra = {
        "rows": len(output_spec.classes),
        "objectness": 1 + len(output_spec.classes),
        "labeled": 2,
    }
    channels = to_channels_first(
        outputs, output_spec, BOX_COLUMNS[output_spec.box_format] + extra[output_spec.head]
    )
    numbers, rest = split_box_channels(channels, output_spec)
    select = {
        "rows": select_best_class,
        "objectness": _select_with_objectness,
        "labeled": _select_labeled_rows,
    }[output_spec.head]
    scored = select(rest, output_spec)
    return to_candidates(numbers[:, scored.row].T, scored, output_spec, size)


def to_channels_first(outputs: Outputs, output_spec: OutputSpec, count: int) -> NDArray[Any]:
    """Return the output as (channels, candidates), for either layout of the output."""
    if output_spec.output_layout == "channels_first":
        return get_output(outputs, "rows", output_spec, (count, -1))
    return get_output(outputs, "rows", output_spec, (-1, count)).T


def split_box_channels(
    channels: NDArray[Any], output_spec: OutputSpec
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the channels of the box, in the order of its format, and the other channels."""
    columns = BOX_COLUMNS[output_spec.box_format]
    if output_spec.box_format == "cxcywhr" and output_spec.angle == "last":
        return np.concatenate([channels[: columns - 1], channels[-1:]]), channels[columns - 1 : -1]
    return channels[:columns], channels[columns:]


def select_best_class(scores: NDArray[Any], output_spec: OutputSpec) -> ScoredRows:
    """Return the best class of each candidate whose score reaches the threshold.

    Args:
        scores: (classes, candidates), values as the model returns them.
        output_spec: Description of the outputs, with the activation and the threshold.
    """
    reaches_threshold = scores >= min_raw_score(output_spec)
    rows = np.flatnonzero(
        reaches_threshold[0] if len(reaches_threshold) == 1 else reaches_threshold.any(axis=0)
    )
    few = apply_activation(scores[:, rows], output_spec)
    label = few.argmax(axis=0) if few.size else rows
    return _select_above_threshold(rows, few[label, np.arange(len(rows))], label, output_spec)


def _select_with_objectness(rest: NDArray[Any], output_spec: OutputSpec) -> ScoredRows:
    # A class score is at most 1, so the objectness must reach the threshold too.
    rows = np.flatnonzero(rest[0] >= min_raw_score(output_spec))
    few = apply_activation(rest[:, rows], output_spec)
    label = few[1:].argmax(axis=0) if few.size else rows
    return _select_above_threshold(
        rows, few[0] * few[1 + label, np.arange(len(rows))], label, output_spec
    )


def _select_labeled_rows(rest: NDArray[Any], output_spec: OutputSpec) -> ScoredRows:
    score, label = rest
    return select_labeled(score, label, output_spec)


def _select_above_threshold(
    rows: Ints, score: Scores, label: Ints, output_spec: OutputSpec
) -> ScoredRows:
    reaches_threshold = score >= np.float32(output_spec.score_threshold)
    return ScoredRows(rows[reaches_threshold], score[reaches_threshold], label[reaches_threshold])
