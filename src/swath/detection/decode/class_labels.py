"""Check the class numbers that a model returns, and convert them to the package's classes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from swath.detection.decode.candidates import ScoredRows
from swath.errors import ModelOutputError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import OutputSpec


def select_labeled(score: NDArray[Any], label: NDArray[Any], output_spec: OutputSpec) -> ScoredRows:
    """Return the candidates whose score reaches the threshold, without those of the background.

    Args:
        score: (n,) scores.
        label: (n,) class numbers; 0 is the background if classes count from 1.
        output_spec: Description of the outputs: the threshold, the classes and their first number.

    Raises:
        ModelOutputError: A class number is out of range.
    """
    rows = np.flatnonzero(score >= output_spec.score_threshold)
    check_classes(label[rows], output_spec)
    position = label[rows].astype(np.int64) - output_spec.first_label
    is_class = position >= 0
    return ScoredRows(rows[is_class], score[rows][is_class], position[is_class])


def check_classes(label: NDArray[Any], output_spec: OutputSpec) -> None:
    """Refuse class numbers that are out of range; 0 is the background if classes count from 1.

    Raises:
        ModelOutputError: A class number is out of range.
    """
    if not label.size:
        return
    lowest, highest = label.min(), label.max()
    if lowest < 0 or highest >= len(output_spec.classes) + output_spec.first_label:
        raise ModelOutputError(
            f"the model returned the label {lowest if lowest < 0 else highest:g}, but mlm.json has "
            f"{len(output_spec.classes)} classes, numbered from {output_spec.first_label} "
            "(first_label)"
        )
