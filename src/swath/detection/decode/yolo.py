"""One output with a row of numbers for each candidate: the YOLO family and its like.

A row is a box, then what the head says: a score a class (`rows`), an objectness and a score a class
(`objectness`), or a score and a class (`labelled`, for models that settle doubles by themselves).
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
    """Candidates of one tile.

    Raises:
        ModelOutputError: the output is not what the package says, or holds NaN.
    """
    extra = {"rows": len(answer.classes), "objectness": 1 + len(answer.classes), "labelled": 2}
    channels = by_channel(outputs, answer, COLUMNS[answer.box_format] + extra[answer.head])
    numbers, rest = box_and_rest(channels, answer)
    find = {"rows": best, "objectness": _with_objectness, "labelled": _labelled}[answer.head]
    found = find(rest, answer)
    return to_candidates(numbers[:, found.row].T, found, answer, size)


def by_channel(outputs: Outputs, answer: Answer, count: int) -> NDArray[Any]:
    """The rows as (channels, candidates)."""
    if answer.output_layout == "channels_first":
        return output(outputs, "rows", answer, (count, -1))
    return output(outputs, "rows", answer, (-1, count)).T


def box_and_rest(channels: NDArray[Any], answer: Answer) -> tuple[NDArray[Any], NDArray[Any]]:
    """The channels of the box, in the order of its format, and the others."""
    columns = COLUMNS[answer.box_format]
    if answer.box_format == "cxcywhr" and answer.angle == "last":
        return np.concatenate([channels[: columns - 1], channels[-1:]]), channels[columns - 1 : -1]
    return channels[:columns], channels[columns:]


def best(scores: NDArray[Any], answer: Answer) -> Found:
    """Of each candidate its best class, if that reaches the threshold.

    Args:
        scores: (classes, candidates), as the model gives them.
        answer: the activation and the threshold.
    """
    reached = scores >= floor_of(answer)
    rows = np.flatnonzero(reached[0] if len(reached) == 1 else reached.any(axis=0))
    few = activated(scores[:, rows], answer)
    label = few.argmax(axis=0) if few.size else rows
    return _counting(rows, few[label, np.arange(len(rows))], label, answer)


def _with_objectness(rest: NDArray[Any], answer: Answer) -> Found:
    # A class's score is at most 1, so without an object there is no score that counts.
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
