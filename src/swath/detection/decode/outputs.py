"""Return a model's outputs by their role, and check them against the package's description."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.errors import ModelOutputError

if TYPE_CHECKING:
    from swath.models.output_spec import Answer, Role
    from swath.models.runtimes.base import Outputs

Scores = NDArray[np.float32]
_ANY = -1
_FLAT = 10.0
_SLACK = 1e-2
_MOST = 1 + 1e-3
"""Highest score that counts as 1, since half precision rounds."""


def output(outputs: Outputs, role: Role, answer: Answer, *shapes: tuple[int, ...]) -> NDArray[Any]:
    """Return the output of a role, free of NaN.

    Args:
        outputs: Outputs of one tile, without the batch axis.
        role: Role of the output.
        answer: Description of the outputs, with the position of each role.
        shapes: Allowed shapes; -1 for any length.

    Raises:
        ModelOutputError: The output is missing, has none of the shapes, or holds NaN.
    """
    array = shaped(outputs, role, answer, *shapes)
    check_numbers(array, role)
    return array


def shaped(outputs: Outputs, role: Role, answer: Answer, *shapes: tuple[int, ...]) -> NDArray[Any]:
    """Return the output of a role, which may hold NaN.

    Args:
        outputs: Outputs of one tile, without the batch axis.
        role: Role of the output.
        answer: Description of the outputs, with the position of each role.
        shapes: Allowed shapes; -1 for any length.

    Raises:
        ModelOutputError: The output is missing, or has none of the shapes.
    """
    place = answer.outputs.index(role)
    if place >= len(outputs):
        raise ModelOutputError(
            f"the model returned {len(outputs)} outputs; mlm:output says that {role} is "
            f"number {place + 1}"
        )
    array = np.asarray(outputs[place])
    if not any(_fits(array.shape, shape) for shape in shapes):
        wanted = " or ".join(str(shape).replace(str(_ANY), "any") for shape in shapes)
        raise ModelOutputError(
            f"the model returned {role} of shape {array.shape} for one tile, not {wanted} "
            f"({len(answer.classes)} classes, head {answer.head})"
        )
    return array


def check_numbers(array: NDArray[Any], role: Role) -> None:
    """Refuse NaN.

    Raises:
        ModelOutputError: The array holds NaN.
    """
    # The minimum is NaN if any value is, and needs no temporary array.
    if array.size and array.dtype.kind == "f" and np.isnan(array.min()):
        raise ModelOutputError(f"the model returned NaN in {role}")


def floor_of(answer: Answer) -> float:
    """Return a value slightly below the lowest model value that reaches the score threshold."""
    if answer.activation == "none":
        return answer.score_threshold
    # Where the sigmoid is flat, float32 has one score for many values.
    return min(logit(answer.score_threshold), _FLAT) - _SLACK


def logit(share: float) -> float:
    """Return the logit, the inverse of the sigmoid; infinite for 0 and 1."""
    if share in {0, 1}:
        return math.inf if share else -math.inf
    return math.log(share / (1 - share))


def sigmoid(numbers: NDArray[Any]) -> Scores:
    """Return 1 / (1 + exp(-x))."""
    with np.errstate(over="ignore"):  # to infinity, whose inverse is 0
        scores: Scores = np.exp(-numbers.astype(np.float32))
    scores += 1
    return np.reciprocal(scores, out=scores)


def activated(numbers: NDArray[Any], answer: Answer) -> Scores:
    """Return scores from the model's values, each converted by itself (no softmax)."""
    return sigmoid(numbers) if answer.activation == "sigmoid" else numbers.astype(np.float32)


def softmax_of(best: Scores, scores: NDArray[Any]) -> Scores:
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
    if scores.size and (most := scores.max()) > _MOST:
        raise ModelOutputError(
            f"the model returned the score {most:g}; scores go from 0 to 1. If these are logits, "
            "let mlm:hyperparameters score_activation be sigmoid or softmax"
        )


def _fits(shape: tuple[int, ...], wanted: tuple[int, ...]) -> bool:
    return len(shape) == len(wanted) and all(
        want in {_ANY, length} for length, want in zip(shape, wanted, strict=True)
    )
