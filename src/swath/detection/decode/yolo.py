"""Decode one output with a row of numbers for each candidate, as YOLO models return it.

A row is a box, followed by what the head defines: one score per class (`rows`), an objectness and
one score per class (`objectness`), or a score and a class (`labelled`, for models that include
NMS).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swath.detection.decode.candidates import Candidates, Found, to_candidates
from swath.detection.decode.class_labels import labelled
from swath.detection.decode.outputs import Scores, activated, floor_of, output
from swath.models.output_spec import COLUMNS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Ints
    from swath.models.output_spec import Answer
    from swath.models.runtimes.base import Outputs


def read(outputs: Outputs, answer: Answer, size: int) -> Candidates:
    """Return the candidates of one tile.

    Raises:
        ModelOutputError: The output differs from the package's description, or holds NaN.
    """
    extra = {"rows": len(answer.classes), "objectness": 1 + len(answer.classes), "labelled": 2}
    channels = by_channel(outputs, answer, COLUMNS[answer.box_format] + extra[answer.head])
    numbers, rest = box_and_rest(channels, answer)
    find = {"rows": best, "objectness": _with_objectness, "labelled": _labelled}[answer.head]
    found = find(rest, answer)
    return to_candidates(numbers[:, found.row].T, found, answer, size)


def by_channel(outputs: Outputs, answer: Answer, count: int) -> NDArray[Any]:
    """Return the output as (channels, candidates), for either layout of the output."""
    if answer.output_layout == "channels_first":
        return output(outputs, "rows", answer, (count, -1))
    return output(outputs, "rows", answer, (-1, count)).T


def box_and_rest(channels: NDArray[Any], answer: Answer) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the channels of the box, in the order of its format, and the other channels."""
    columns = COLUMNS[answer.box_format]
    if answer.box_format == "cxcywhr" and answer.angle == "last":
        return np.concatenate([channels[: columns - 1], channels[-1:]]), channels[columns - 1 : -1]
    return channels[:columns], channels[columns:]


def best(scores: NDArray[Any], answer: Answer) -> Found:
    """Return the best class of each candidate whose score reaches the threshold.

    Args:
        scores: (classes, candidates), values as the model returns them.
        answer: Description of the outputs, with the activation and the threshold.
    """
    reached = scores >= floor_of(answer)
    rows = np.flatnonzero(reached[0] if len(reached) == 1 else reached.any(axis=0))
    few = activated(scores[:, rows], answer)
    label = few.argmax(axis=0) if few.size else rows
    return _counting(rows, few[label, np.arange(len(rows))], label, answer)


def _with_objectness(rest: NDArray[Any], answer: Answer) -> Found:
    # A class score is at most 1, so the objectness must reach the threshold too.
    rows = np.flatnonzero(rest[0] >= floor_of(answer))
    few = activated(rest[:, rows], answer)
    label = few[1:].argmax(axis=0) if few.size else rows
    return _counting(rows, few[0] * few[1 + label, np.arange(len(rows))], label, answer)


def _labelled(rest: NDArray[Any], answer: Answer) -> Found:
    score, label = rest
    return labelled(score, label, answer)


def _counting(rows: Ints, score: Scores, label: Ints, answer: Answer) -> Found:
    counts = score >= np.float32(answer.score_threshold)
    return Found(rows[counts], score[counts], label[counts])
