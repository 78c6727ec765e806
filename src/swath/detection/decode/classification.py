"""Decode tile classification: one class for a whole tile."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from swath.detection.decode.outputs import (
    apply_activation,
    check_scores,
    get_output,
    softmax_scores,
)

if TYPE_CHECKING:
    from swath.models.output_spec import OutputSpec
    from swath.models.runtimes.base import Outputs


def decode(outputs: Outputs, output_spec: OutputSpec) -> tuple[int, np.float32]:
    """Return the index of the class with the highest score, and its probability.

    Raises:
        ModelOutputError: The output differs from the package's description, or holds NaN.
    """
    scores = get_output(outputs, "scores", output_spec, (len(output_spec.classes),)).astype(
        np.float32
    )
    label = int(scores.argmax())
    if output_spec.activation == "softmax":
        return label, softmax_scores(scores[[label]], scores)[0]
    probability = apply_activation(scores, output_spec)
    check_scores(probability)
    return label, probability[label]
