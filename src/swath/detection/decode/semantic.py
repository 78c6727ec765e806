"""Decode semantic segmentation: a class for each pixel, from class scores or a label map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from swath.detection.decode.class_labels import check_classes
from swath.detection.decode.outputs import (
    Scores,
    apply_activation,
    check_scores,
    get_output,
    softmax_scores,
)
from swath.detection.decode.resample import bilinear
from swath.detection.detections import NO_LABEL

if TYPE_CHECKING:
    from swath.models.output_spec import OutputSpec
    from swath.models.runtimes.base import Outputs

Labels = NDArray[np.uint8]


def decode(outputs: Outputs, output_spec: OutputSpec, size: int) -> tuple[Labels, Scores]:
    """Return the class of each pixel of a tile and its probability, (size, size) each.

    An output at another resolution is resampled to the tile's: scores bilinearly, labels by the
    nearest pixel.

    Returns:
        uint8 indices into the package's classes, NO_LABEL where a label map has no class; and
        float32 probabilities, always 1 for a label map.

    Raises:
        ModelOutputError: The output differs from the package's description, or holds NaN.
    """
    if output_spec.head == "labels":
        label = _decode_label_map(outputs, output_spec, size)
        return label, np.ones(label.shape, np.float32)
    scores = get_output(outputs, "scores", output_spec, (len(output_spec.classes), -1, -1))
    if scores.shape[1:] != (size, size):
        rows, cols = (_pixel_centers(length, size) for length in scores.shape[1:])
        scores = bilinear(scores.astype(np.float32), rows, cols)
    return _best_class(scores, output_spec)


def _best_class(scores: NDArray[Any], output_spec: OutputSpec) -> tuple[Labels, Scores]:
    """Return the class of the highest score, the first of equals, and its probability."""
    best = scores[0].astype(np.float32)
    label = np.zeros(best.shape, np.uint8)
    # One class at a time: an argmax over the first axis strides through memory. No branch for each
    # pixel: a class that is better than all before it has the largest number.
    for number, score in enumerate(scores[1:], 1):
        np.maximum(label, (score > best) * np.uint8(number), out=label)
        np.maximum(best, score, out=best)
    if output_spec.activation == "softmax":
        return label, softmax_scores(best, scores)
    probability = apply_activation(best, output_spec)
    check_scores(probability)
    return label, probability


def _decode_label_map(outputs: Outputs, output_spec: OutputSpec, size: int) -> Labels:
    given = get_output(outputs, "labels", output_spec, (-1, -1), (1, -1, -1))
    given = given.reshape(given.shape[-2:])
    if output_spec.ignore_label is not None:
        is_ignored = given == output_spec.ignore_label
        given = np.where(is_ignored, output_spec.first_label, given)
    check_classes(given, output_spec)
    # If classes count from 1, label 0 wraps around to NO_LABEL.
    label = given.astype(np.uint8) - np.uint8(output_spec.first_label)
    if output_spec.ignore_label is not None:
        label[is_ignored] = NO_LABEL
    if label.shape == (size, size):
        return label
    rows, cols = (_pixel_centers(length, size).astype(np.int64) for length in label.shape)
    return label[rows[:, None], cols]


def _pixel_centers(length: int, size: int) -> NDArray[np.float64]:
    """Return the centers (size,) of a tile's pixels, in px of an output with `length` px."""
    return (np.arange(size) + 0.5) * length / size
