"""Validate a network on whole labeled scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swath.detection.detections import NO_LABEL, Detections
from swath.errors import InputError
from swath.evaluation.metrics.coco import coco_metrics
from swath.evaluation.metrics.curves import Curve, build_curve
from swath.evaluation.metrics.matching import match
from swath.evaluation.metrics.objects import GroundTruth, Predictions
from swath.evaluation.metrics.pixels import count_pixels, pixel_f1, pixel_iou
from swath.raster.interpretation import select_bands
from swath.training.data.class_maps import UNKNOWN_CLASS, ClassMapRasterizer
from swath.training.data.crop import NO_CLASS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.collection import Collection
    from swath.raster.scene import Scene
    from swath.raster.tiles import Tile
    from swath.training.predict_scenes import ScenePredictor

AP50, MIOU = "ap50", "miou"
MIN_SCORE = 0.05
"""Lowest score of a detection that is evaluated.

Lower scores say little about a network. Early in a training, nearly every cell has such a score.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Validation:
    """Validation results of one network."""

    score: float
    """Metric that networks are compared by, 0 to 1: the first of `metrics`."""
    metrics: dict[str, float]
    """Metrics by name."""
    threshold: float | None = None
    """Score threshold with the highest F1; None for a segmenter, or without detections."""


class Validator(Protocol):
    """Measures networks of one task."""

    @property
    def hyperparameters(self) -> dict[str, float | bool]:
        """Hyperparameters of the package for validation, such as the score threshold."""

    def __call__(self, predictor: ScenePredictor) -> Validation:
        """Measure a network on all scenes.

        Raises:
            TrainingError: A tile cannot be read, or the network's output has NaN.
            TrainingInterruptedError: The predictor's `stop` returned True.
        """


def create_validator(task: str, collection: Collection) -> Validator:
    """Return the validator for a task.

    The validator of segmenters raises a LabelsError when it is called if labels have no outlines.

    Args:
        task: Task of the network, as in its package.
        collection: Labeled scenes to validate on.

    Raises:
        InputError: The collection has no objects.
    """
    if not any((~scene.crowd).any() for scene in collection.scenes):
        names = ", ".join(scene.name for scene in collection.scenes)
        raise InputError(f"the validation scenes have no labeled objects ({names})")
    return (
        _PixelValidator(collection)
        if task == "semantic-segmentation"
        else _BoxValidator(collection)
    )


@dataclass(frozen=True, slots=True)
class _BoxValidator:
    """Validator of detectors by boxes: average precision, and the best F1 at an IoU of 0.5."""

    collection: Collection
    hyperparameters: dict[str, float | bool] = field(
        default_factory=lambda: {"score_threshold": MIN_SCORE}
    )

    def __call__(self, predictor: ScenePredictor) -> Validation:
        ground_truth = ground_truth_boxes(self.collection)
        detections = [predictor.predict(scene.uri) for scene in self.collection.scenes]
        predictions = predicted_boxes(detections)
        metrics_by_iou = coco_metrics(ground_truth, predictions, len(self.collection.classes))
        curve = build_curve(ground_truth, predictions, match(ground_truth, predictions))
        threshold = best_f1_threshold(curve)
        best = curve.counts(1.0 if threshold is None else threshold)
        metrics = {
            AP50: metrics_by_iou.ap(iou=0.5) or 0.0,
            "ap": metrics_by_iou.ap() or 0.0,
            "f1": best.f1 or 0.0,
            "precision": best.precision or 0.0,
            "recall": best.recall or 0.0,
        }
        return Validation(score=metrics[AP50], metrics=metrics, threshold=threshold)


@dataclass(frozen=True, slots=True)
class _PixelValidator:
    """Validator of segmenters by pixels: mean IoU and mean F1 over the classes."""

    collection: Collection
    hyperparameters: dict[str, float | bool] = field(default_factory=lambda: {"mask": True})

    def __call__(self, predictor: ScenePredictor) -> Validation:
        classes = len(self.collection.classes)
        rasterize = ClassMapRasterizer(self.collection)
        counts = np.zeros((classes + 1, classes + 1), np.int64)
        for index, labeled in enumerate(self.collection.scenes):

            def count(
                scene: Scene, tile: Tile, predicted: NDArray[np.uint8], index: int = index
            ) -> None:
                nonlocal counts
                x0, y0, x1, y1 = tile.core
                window = (x0, y0, x1 - x0, y1 - y0)
                labels = rasterize(index, window)
                bands = select_bands(scene.info, predictor.description.bands)
                valid = scene.read_valid(window, bands) & (labels != UNKNOWN_CLASS)
                labels[labels == NO_CLASS] = classes
                predicted = np.where(predicted == NO_LABEL, np.uint8(classes), predicted)
                counts += count_pixels(labels, predicted, valid, classes)

            predictor.predict(labeled.uri, count)
        iou, f1 = (_mean(metric(counts)[:classes]) for metric in (pixel_iou, pixel_f1))
        return Validation(score=iou, metrics={MIOU: iou, "f1": f1})


def best_f1_threshold(curve: Curve) -> float | None:
    """Return the middle of the score range with the highest F1; None without detections.

    On a few scenes, a wide range of thresholds has the same F1. Where that range ends is chance.
    """
    if not len(curve.score):
        return None
    is_best = curve.f1 >= curve.f1.max()
    first = int(np.argmax(is_best))
    length = int(np.argmin(np.append(is_best[first:], False)))
    lower = np.append(curve.score, MIN_SCORE)[first + length]
    return float(curve.score[first] + min(lower, curve.score[first])) / 2


def ground_truth_boxes(collection: Collection) -> GroundTruth:
    """Return the ground truth boxes, with scenes numbered as in the collection."""
    scenes = collection.scenes
    return GroundTruth(
        scene=_scene_indices([len(scene.boxes) for scene in scenes]),
        label=np.concatenate([scene.classes for scene in scenes]),
        box=np.concatenate([scene.boxes for scene in scenes]),
        crowd=np.concatenate([scene.crowd for scene in scenes]),
    )


def predicted_boxes(detections: Sequence[Detections]) -> Predictions:
    """Return the predicted boxes, with scenes numbered in the order of `detections`."""
    return Predictions(
        scene=_scene_indices([len(part) for part in detections]),
        label=np.concatenate([part.label for part in detections]).astype(np.int64),
        box=np.concatenate([part.box for part in detections]),
        score=np.concatenate([part.score for part in detections]).astype(np.float64),
    )


def _scene_indices(counts: Sequence[int]) -> NDArray[np.int64]:
    return np.repeat(np.arange(len(counts)), counts)


def _mean(values: NDArray[np.float64]) -> float:
    """Return the mean over the classes that occur (not NaN); 0 if none does."""
    occurring = values[~np.isnan(values)]
    return float(occurring.mean()) if len(occurring) else 0.0
