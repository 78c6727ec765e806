"""Compare the outputs of two models, by their numbers or by their detections.

Outputs with a value for each position in the tile are compared number by number. Models that return
a list of objects may reorder it when a digit changes, so their objects are matched first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
import numpy as np

from swath.detection.boxes import iou
from swath.detection.decode import classification, semantic
from swath.detection.detections import NO_LABEL
from swath.packaging.coverage import decode_objects, reported_class, reported_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.detection.detections import Detections
    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Outputs

_LIST_HEADS = {"labeled", "detr", "torchvision"}
_MAX_LOWERED_THRESHOLD = 0.05
_MIN_MATCH_IOU = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """Number of objects, pixels or tiles that two models report alike."""

    matching: int
    total: int
    """Number that either model reports; 0 proves nothing."""

    @property
    def share(self) -> float:
        """Share of matching reports, 0 to 1; 1 if neither model reports anything."""
        return self.matching / self.total if self.total else 1.0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.matching + other.matching, self.total + other.total)


def difference(one: Outputs, other: Outputs, description: ModelDescription) -> float:
    """Return the largest difference between two outputs for a tile; 0 if they are equal.

    The difference of numbers is relative to the largest number of their output. The difference of
    label maps is the share of pixels that differ. Lists of objects differ in scores and in
    overlaps; an object in only one list counts with its score above the threshold.

    Args:
        one: Outputs of one model, in the order of the description.
        other: Outputs of the other model for the same tile.
        description: Description of both models.

    Raises:
        ModelOutputError: An output does not match the package's description.
    """
    if description.head in _LIST_HEADS:
        return _object_difference(one, other, description)
    if description.head == "labels":
        return float(
            np.mean(_to_float64(one, 0, description) != _to_float64(other, 0, description))
        )
    indices = [index for index, role in enumerate(description.outputs) if role]
    return max(
        _relative_difference(
            _to_float64(one, index, description), _to_float64(other, index, description)
        )
        for index in indices
    )


def agreement(one: Outputs, other: Outputs, description: ModelDescription) -> Agreement:
    """Count the objects, pixels or tiles that two outputs for a tile report alike.

    Objects: objects in matched pairs (one class, IoU above 0.5), out of the objects of both
    outputs. Segmentation: pixels of equal class, out of those that either output reports.
    Classification: the tile, if either output reports a class.

    Args:
        one: Outputs of one model, in the order of the description.
        other: Outputs of the other model for the same tile.
        description: Description of both models.

    Raises:
        ModelOutputError: An output does not match the package's description.
    """
    if description.task == "segmentation":
        first, second = (reported_pixels(outputs, description) for outputs in (one, other))
        either = (first != NO_LABEL) | (second != NO_LABEL)
        return Agreement(int((first == second)[either].sum()), int(either.sum()))
    if description.task == "classification":
        classes = {reported_class(outputs, description) for outputs in (one, other)}
        return Agreement(int(len(classes) == 1 and None not in classes), int(classes != {None}))
    objects, other_objects = decode_objects(one, description), decode_objects(other, description)
    pairs = _match_objects(objects, other_objects)
    return Agreement(2 * len(pairs), len(objects) + len(other_objects))


def decode_outputs(outputs: Outputs, description: ModelDescription) -> int:
    """Decode an output as a run would, and return its number of objects, pixels or tiles.

    Args:
        outputs: Outputs of the model for one tile.
        description: Description of the model.

    Raises:
        ModelOutputError: The output does not match the package's description.
    """
    if description.task == "segmentation":
        return int(semantic.decode(outputs, description, description.tile_size)[0].size)
    if description.task == "classification":
        classification.decode(outputs, description)
        return 1
    return len(decode_objects(outputs, description))


def _object_difference(one: Outputs, other: Outputs, description: ModelDescription) -> float:
    threshold = min(description.score_threshold, _MAX_LOWERED_THRESHOLD)
    lowered = msgspec.structs.replace(description, score_threshold=threshold)
    first, second = decode_objects(one, lowered), decode_objects(other, lowered)
    pairs = _match_objects(first, second)
    differences = [0.0]
    for a, b, overlap in pairs:
        differences += [1 - overlap, abs(float(first.score[a]) - float(second.score[b]))]
    for detections, matched in (
        (first, {a for a, *_ in pairs}),
        (second, {b for _, b, _ in pairs}),
    ):
        unmatched = [row for row in range(len(detections)) if row not in matched]
        # An object just above the threshold here may be just below it in the other output.
        differences += [float(detections.score[row]) - threshold for row in unmatched]
    return max(differences)


def _match_objects(one: Detections, other: Detections) -> list[tuple[int, int, float]]:
    """Return (row, row, IoU) for each matched pair of one class, best scores first."""
    is_unmatched = np.ones(len(other), bool)
    pairs = []
    for row in np.argsort(-one.score, kind="stable").tolist():
        if not is_unmatched.any():
            break
        overlap = iou(np.repeat(one.box[[row]], len(other), axis=0), other.box)
        overlap = np.where(is_unmatched & (other.label == one.label[row]), overlap, 0)
        best = int(overlap.argmax())
        if overlap[best] > _MIN_MATCH_IOU:
            is_unmatched[best] = False
            pairs.append((row, best, float(overlap[best])))
    return pairs


def _to_float64(outputs: Outputs, index: int, description: ModelDescription) -> NDArray[np.float64]:
    if description.head == "labels":
        index = description.outputs.index("labels")
    return np.asarray(outputs[index], np.float64)


def _relative_difference(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if one.shape != other.shape:
        return float("inf")
    if not one.size:
        return 0.0
    return float(np.abs(one - other).max() / max(1.0, np.abs(one).max()))


def total_agreement(
    one: Sequence[Outputs], other: Sequence[Outputs], description: ModelDescription
) -> Agreement:
    """Sum the agreement of two models over several tiles."""
    agreed = Agreement(0, 0)
    for first, second in zip(one, other, strict=True):
        agreed += agreement(first, second, description)
    return agreed
