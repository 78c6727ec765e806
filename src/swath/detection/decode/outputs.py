"""Return a model's outputs by their role, and check them against the package's description."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import ModelOutputError

if TYPE_CHECKING:
    from swath.models.output_spec import OutputSpec, Role
    from swath.models.runtimes.base import Outputs

Scores = NDArray[np.float32]
_ANY_LENGTH = -1
_MAX_LOGIT = 10.0
_LOGIT_MARGIN = 1e-2
_MAX_SCORE = 1 + 1e-3
"""Highest score that counts as 1, since half precision rounds."""


def get_output(
    outputs: Outputs, role: Role, output_spec: OutputSpec, *shapes: tuple[int, ...]
) -> NDArray[Any]:
    """Return the output of a role, free of NaN.

    Args:
        outputs: Outputs of one tile, without the batch axis.
        role: Role of the output.
        output_spec: Description of the outputs, with the position of each role.
        shapes: Allowed shapes; -1 for any length.

    Raises:
        ModelOutputError: The output is missing, has none of the shapes, or holds NaN.
    """
    array = get_unchecked_output(outputs, role, output_spec, *shapes)
    check_no_nan(array, role)
    return array


def get_unchecked_output(
    outputs: Outputs, role: Role, output_spec: OutputSpec, *shapes: tuple[int, ...]
) -> NDArray[Any]:
    """Return the output of a role, which may hold NaN.

    Args:
        outputs: Outputs of one tile, without the batch axis.
        role: Role of the output.
        output_spec: Description of the outputs, with the position of each role.
        shapes: Allowed shapes; -1 for any length.

    Raises:
        ModelOutputError: The output is missing, or has none of the shapes.
    """
    position = output_spec.outputs.index(role)
    if position >= len(outputs):
        raise ModelOutputError(
            f"the model returned {len(outputs)} outputs, but mlm:output lists {role} as "
            f"number {position + 1}"
        )
    array = np.asarray(outputs[position])
    if not any(_matches_shape(array.shape, shape) for shape in shapes):
        expected = " or ".join(str(shape).replace(str(_ANY_LENGTH), "any") for shape in shapes)
        raise ModelOutputError(
            f"the model returned {role} of shape {array.shape} for one tile, not {expected} "
            f"({len(output_spec.classes)} classes, head {output_spec.head})"
        )
    return array


def check_no_nan(array: NDArray[Any], role: Role) -> None:
    """Refuse NaN.

    Raises:
        ModelOutputError: The array holds NaN.
    """
    # The minimum is NaN if any value is, and needs no temporary array.
    if array.size and array.dtype.kind == "f" and np.isnan(array.min()):
        raise ModelOutputError(f"the model returned NaN in {role}")


def min_raw_score(output_spec: OutputSpec) -> float:
    """Return a value slightly below the lowest model value that reaches the score threshold."""
    if output_spec.activation == "none":
        return output_spec.score_threshold
    # Where the sigmoid is flat, float32 has one score for many values.
    return min(logit(output_spec.score_threshold), _MAX_LOGIT) - _LOGIT_MARGIN


def logit(probability: float) -> float:
    """Return the logit, the inverse of the sigmoid; infinite for 0 and 1."""
    if probability in {0, 1}:
        return math.inf if probability else -math.inf
    return math.log(probability / (1 - probability))


def sigmoid(numbers: NDArray[Any]) -> Scores:
    """Return 1 / (1 + exp(-x))."""
    with np.errstate(over="ignore"):  # to infinity, whose inverse is 0
        scores: Scores = np.exp(-numbers.astype(np.float32))
    scores += 1
    return np.reciprocal(scores, out=scores)


def apply_activation(numbers: NDArray[Any], output_spec: OutputSpec) -> Scores:
    """Return scores from the model's values, each converted by itself (no softmax)."""
    return sigmoid(numbers) if output_spec.activation == "sigmoid" else numbers.astype(np.float32)


def softmax_scores(best: Scores, scores: NDArray[Any]) -> Scores:
    """Return the softmax of given scores among all classes: 1 over the sum of the exponentials.

    The exponentials are taken relative to the given scores.

    Args:
        best: Scores of any shape; the softmax is 0 where another class scores far higher.
        scores: (classes, …) scores of all classes.

    Raises:
        ModelOutputError: Scores are infinite.
    """
    total = np.zeros_like(best)
    with np.errstate(invalid="ignore", over="ignore"):  # infinity less itself; next to nothing
        for score in scores:
            part = score - best
            total += np.exp(part, out=part)
    if np.isnan(total).any():
        raise ModelOutputError("the model returned infinite logits")
    return np.reciprocal(total, out=total)


def check_scores(scores: Scores) -> None:
    """Refuse scores above 1, most likely logits of a package that does not declare them.

    Raises:
        ModelOutputError: A score is above 1.
    """
    if scores.size and (highest := scores.max()) > _MAX_SCORE:
        raise ModelOutputError(
            f"the model returned the score {highest:g}; scores range from 0 to 1. For logits, set "
            "score_activation in mlm:hyperparameters to sigmoid or softmax"
        )


def _matches_shape(shape: tuple[int, ...], expected: tuple[int, ...]) -> bool:
    return len(shape) == len(expected) and all(
        expected_length in {_ANY_LENGTH, length}
        for length, expected_length in zip(shape, expected, strict=True)
    )
