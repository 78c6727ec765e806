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
from swath.packaging.coverage import objects_of, reported_class, reported_pixels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.detection.detections import Detections
    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Outputs

_LISTS = {"labelled", "detr", "torchvision"}
_LOW_SCORE = 0.05
_SAME_OBJECT = 0.5


@dataclass(frozen=True, slots=True)
class Agreement:
    """Number of objects, pixels or tiles that two models report alike."""

    alike: int
    of: int
    """Number that either model reports; 0 proves nothing."""

    @property
    def share(self) -> float:
        """Share of matching reports, 0 to 1; 1 if neither model reports anything."""
        return self.alike / self.of if self.of else 1.0

    def __add__(self, other: Agreement) -> Agreement:
        return Agreement(self.alike + other.alike, self.of + other.of)


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
    if description.head in _LISTS:
        return _difference_of_objects(one, other, description)
    if description.head == "labels":
        return float(np.mean(_read(one, 0, description) != _read(other, 0, description)))
    places = [place for place, role in enumerate(description.outputs) if role]
    return max(
        _relative(_read(one, place, description), _read(other, place, description))
        for place in places
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
        first, second = (reported_pixels(answer, description) for answer in (one, other))
        either = (first != NO_LABEL) | (second != NO_LABEL)
        return Agreement(int((first == second)[either].sum()), int(either.sum()))
    if description.task == "classification":
        classes = {reported_class(answer, description) for answer in (one, other)}
        return Agreement(int(len(classes) == 1 and None not in classes), int(classes != {None}))
    first_found, second_found = objects_of(one, description), objects_of(other, description)
    pairs = _pairs(first_found, second_found)
    return Agreement(2 * len(pairs), len(first_found) + len(second_found))


def read_answer(outputs: Outputs, description: ModelDescription) -> int:
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
    return len(objects_of(outputs, description))


def _difference_of_objects(one: Outputs, other: Outputs, description: ModelDescription) -> float:
    lowered = min(description.score_threshold, _LOW_SCORE)
    curious = msgspec.structs.replace(description, score_threshold=lowered)
    first, second = objects_of(one, curious), objects_of(other, curious)
    pairs = _pairs(first, second)
    differences = [0.0]
    for a, b, overlap in pairs:
        differences += [1 - overlap, abs(float(first.score[a]) - float(second.score[b]))]
    for found, matched in ((first, {a for a, *_ in pairs}), (second, {b for _, b, _ in pairs})):
        alone = [row for row in range(len(found)) if row not in matched]
        # An object just above the threshold here may be just below it in the other output.
        differences += [float(found.score[row]) - lowered for row in alone]
    return max(differences)


def _pairs(one: Detections, other: Detections) -> list[tuple[int, int, float]]:
    """Return (row, row, IoU) for each matched pair of one class, best scores first."""
    free = np.ones(len(other), bool)
    pairs = []
    for row in np.argsort(-one.score, kind="stable").tolist():
        if not free.any():
            break
        overlap = iou(np.repeat(one.box[[row]], len(other), axis=0), other.box)
        overlap = np.where(free & (other.label == one.label[row]), overlap, 0)
        best = int(overlap.argmax())
        if overlap[best] > _SAME_OBJECT:
            free[best] = False
            pairs.append((row, best, float(overlap[best])))
    return pairs


def _read(outputs: Outputs, place: int, description: ModelDescription) -> NDArray[np.float64]:
    if description.head == "labels":
        place = description.outputs.index("labels")
    return np.asarray(outputs[place], np.float64)


def _relative(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    if one.shape != other.shape:
        return float("inf")
    if not one.size:
        return 0.0
    return float(np.abs(one - other).max() / max(1.0, np.abs(one).max()))


def total_agreement(
    one: Sequence[Outputs], other: Sequence[Outputs], description: ModelDescription
) -> Agreement:
    """Sum the agreement of two models over several tiles."""
    found = Agreement(0, 0)
    for first, second in zip(one, other, strict=True):
        found += agreement(first, second, description)
    return found
