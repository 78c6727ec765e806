"""Classes that a model gives by number."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import ModelOutputError
from swath.heads.candidates import Found

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.boxes import Indices
    from swath.heads.answer import Answer


def labelled(score: NDArray[Any], label: NDArray[Any], answer: Answer) -> Found:
    """Candidates whose score reaches the threshold; those of the background are left out.

    Args:
        score: (n,).
        label: (n,) of numbers of classes; 0 is the background where they count from 1.
        answer: the threshold, the classes and where they count from.

    Raises:
        ModelOutputError: there is no such class.
    """
    rows = np.flatnonzero(score >= answer.score_threshold)
    place = to_classes(label[rows], answer)
    some = place >= 0
    return Found(rows[some], score[rows][some], place[some])


def to_classes(label: NDArray[Any], answer: Answer) -> Indices:
    """Numbers of classes as indices into the package's classes; -1 for the background.

    Raises:
        ModelOutputError: there is no such class.
    """
    with np.errstate(invalid="ignore"):
        place = label.astype(np.int64) - answer.first_label
    wrong = (place < -answer.first_label) | (place >= len(answer.classes))
    if wrong.any():
        raise ModelOutputError(
            f"the model returned the label {label[wrong][0]:g}; mlm.json names "
            f"{len(answer.classes)} classes, counted from {answer.first_label} (first_label)"
        )
    return place
