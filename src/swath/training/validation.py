"""How good a network is, on whole labelled scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swath.detection.detections import NO_LABEL, Detections
from swath.errors import InputError
from swath.evaluation.metrics.coco import coco_figures
from swath.evaluation.metrics.curves import Curve, curve_of
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import Found, Truth
from swath.evaluation.metrics.pixels import count_pixels, pixel_f1, pixel_iou
from swath.raster.interpretation import select_bands
from swath.training.data.class_maps import UNKNOWN, Painter
from swath.training.data.crop import NOTHING

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.raster.scene import OpenScene
    from swath.raster.tiles import Tile
    from swath.training.predict_scenes import Observer

AP50, MIOU = "ap50", "miou"
LEAST_SCORE = 0.05
"""What scores less says little of a network, and in the beginning nearly every place does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """The figures of one network."""

    score: float
    """What networks are compared by, 0 to 1: the first of `metrics`."""
    metrics: dict[str, float]
    threshold: float | None = None
    """The score from which on detections count where F1 is highest."""


class Validator(Protocol):
    """Measures networks of one task."""

    @property
    def hyperparameters(self) -> dict[str, float | bool]:
        """How a network's answers are to be read for it."""

    def __call__(self, observer: Observer) -> Validation:
        """Measure a network.

        Raises:
            TrainingError: a scene cannot be read, or an answer holds NaN.
            TrainingInterruptedError: it was told to stop.
        """


def validator_of(task: str, collection: Collection) -> Validator:
    """What measures networks for a task.

    Raises:
        InputError: the collection cannot tell good from bad: it has no objects, or no outlines.
    """
    if not any((~scene.crowd).any() for scene in collection.scenes):
        names = ", ".join(scene.name for scene in collection.scenes)
        raise InputError(f"there is nothing to find in the scenes to validate on ({names})")
    return _Pixels(collection) if task == "semantic-segmentation" else _Boxes(collection)


@dataclass(frozen=True, slots=True)
class _Boxes:
    """Average precision at an IoU of 0.5, and the best F1."""

    collection: Collection
    hyperparameters: dict[str, float | bool] = field(
        default_factory=lambda: {"score_threshold": LEAST_SCORE}
    )

    def __call__(self, observer: Observer) -> Validation:
        truth = truth_of(self.collection)
        seen = [observer.detections(scene.uri) for scene in self.collection.scenes]
        found = found_of(seen)
        figures = coco_figures(truth, found, len(self.collection.classes))
        curve = curve_of(truth, found, match(truth, found))
        threshold = middle_of_best(curve)
        best = curve.counts(1.0 if threshold is None else threshold)
        metrics = {
            AP50: figures.ap(iou=0.5) or 0.0,
            "ap": figures.ap() or 0.0,
            "f1": best.f1 or 0.0,
            "precision": best.precision or 0.0,
            "recall": best.recall or 0.0,
        }
        return Validation(score=metrics[AP50], metrics=metrics, threshold=threshold)


@dataclass(frozen=True, slots=True)
class _Pixels:
    """Intersection over union of pixels, the mean over the classes."""

    collection: Collection
    hyperparameters: dict[str, float | bool] = field(default_factory=lambda: {"mask": True})

    def __call__(self, observer: Observer) -> Validation:
        classes = len(self.collection.classes)
        paint = Painter(self.collection)
        counts = np.zeros((classes + 1, classes + 1), np.int64)
        for place, labelled in enumerate(self.collection.scenes):

            def count(
                scene: OpenScene, tile: Tile, seen: NDArray[np.uint8], place: int = place
            ) -> None:
                nonlocal counts
                x0, y0, x1, y1 = tile.core
                window = (x0, y0, x1 - x0, y1 - y0)
                known = paint(place, window)
                bands = select_bands(scene.info, observer.description.bands)
                valid = scene.valid(window, bands) & (known != UNKNOWN)
                known[known == NOTHING] = classes
                shown = np.where(seen == NO_LABEL, np.uint8(classes), seen)
                counts += count_pixels(known, shown, valid, classes)

            observer.detections(labelled.uri, count)
        iou, f1 = (_mean(figure(counts)[:classes]) for figure in (pixel_iou, pixel_f1))
        return Validation(score=iou, metrics={MIOU: iou, "f1": f1})


def middle_of_best(curve: Curve) -> float | None:
    """The middle of the scores between which F1 is highest; None where nothing was found.

    On a few scenes a wide range of thresholds does equally well, and its ends do so by chance.
    """
    if not len(curve.score):
        return None
    best = curve.f1 >= curve.f1.max()
    first = int(np.argmax(best))
    length = int(np.argmin(np.append(best[first:], False)))
    lower = np.append(curve.score, LEAST_SCORE)[first + length]
    return float(curve.score[first] + min(lower, curve.score[first])) / 2


def truth_of(collection: Collection) -> Truth:
    """The boxes that are known, scenes numbered as in the collection."""
    scenes = collection.scenes
    return Truth(
        scene=_numbers([len(scene.boxes) for scene in scenes]),
        label=np.concatenate([scene.classes for scene in scenes]),
        box=np.concatenate([scene.boxes for scene in scenes]),
        crowd=np.concatenate([scene.crowd for scene in scenes]),
    )


def found_of(seen: Sequence[Detections]) -> Found:
    """The boxes that were seen in each scene, scenes numbered as they come."""
    return Found(
        scene=_numbers([len(part) for part in seen]),
        label=np.concatenate([part.label for part in seen]).astype(np.int64),
        box=np.concatenate([part.box for part in seen]),
        score=np.concatenate([part.score for part in seen]).astype(np.float64),
    )


def _numbers(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(counts)), counts)


def _mean(values: NDArray[np.float64]) -> float:
    """Of the classes that are somewhere; 0 where none is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else 0.0
