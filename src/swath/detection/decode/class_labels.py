"""Check the class numbers that a model returns, and convert them to the package's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swath.detection.decode.candidates import ScoredRows
from swath.errors import ModelOutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import OutputSpec


def select_labeled(score: NDArray[Any], label: NDArray[Any], answer: OutputSpec) -> ScoredRows:
    """Return the candidates whose score reaches the threshold, without those of the background.

    Args:
        score: (n,) scores.
        label: (n,) class numbers; 0 is the background if classes count from 1.
        answer: Description of the outputs: the threshold, the classes and their first number.

    Raises:
        ModelOutputError: A class number is out of range.
    """
    rows = np.flatnonzero(score >= answer.score_threshold)
    check_classes(label[rows], answer)
    position = label[rows].astype(np.int64) - answer.first_label
    some = position >= 0
    return ScoredRows(rows[some], score[rows][some], position[some])


def check_classes(label: NDArray[Any], answer: OutputSpec) -> None:
    """Refuse class numbers that are out of range; 0 is the background if classes count from 1.

    Raises:
        ModelOutputError: A class number is out of range.
    """
    if not label.size:
        return
    least, most = label.min(), label.max()
    if least < 0 or most >= len(answer.classes) + answer.first_label:
        raise ModelOutputError(
            f"the model returned the label {least if least < 0 else most:g}; mlm.json names "
            f"{len(answer.classes)} classes, counted from {answer.first_label} (first_label)"
        )
