"""Compute all metrics of an evaluation from the ground truth and the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from swath.evaluation.metrics.coco import SIZES, CocoMetrics, coco_metrics
from swath.evaluation.metrics.curves import (
    Counts,
    Curve,
    build_curve,
    select_plot_points,
    voc_average_precision,
)
from swath.evaluation.metrics.matching import Matches, match
from swath.evaluation.metrics.pixels import pixel_f1, pixel_iou
from swath.evaluation.results import BACKGROUND, ClassMetrics, CurvePoints, Metrics, PixelMetrics

if TYPE_CHECKING:
    from swath._types import Floats, Ints
    from swath.evaluation.metrics.objects import GroundTruth, Predictions


def measure_objects(
    truth: GroundTruth,
    predictions: Predictions,
    classes: Sequence[str],
    *,
    threshold: float,
    iou: float,
) -> tuple[Metrics, list[ClassMetrics], CurvePoints]:
    """Return the metrics of objects over all classes, those of each class, and the overall curve.

    Args:
        truth: Ground truth.
        predictions: Detections, down to a low score.
        classes: Names of the classes.
        threshold: Score threshold at which precision, recall and F1 are computed.
        iou: Minimum IoU of a match.
    """
    coco = coco_metrics(truth, predictions, len(classes))
    matches = match(truth, predictions, min_iou=iou)
    curve = build_curve(truth, predictions, matches)
    voc = match(truth, predictions, min_iou=iou, allow_next_best=False)
    by_class = [
        _measure_class(truth, predictions, matches, voc, coco, label, name, threshold)
        for label, name in enumerate(classes)
    ]
    areas = [one.metrics["VOC_AP"] for one in by_class if one.metrics["VOC_AP"] is not None]
    overall = _coco_metrics(coco) | threshold_metrics(curve.counts(threshold)) | _best_f1(curve)
    overall["VOC_AP"] = float(np.mean(areas)) if areas else None
    return overall, by_class, thin_curve(curve)


def measure_pixels(counts: Ints, classes: Sequence[str]) -> tuple[Metrics, PixelMetrics]:
    """Return the metrics of masks over all classes, and those of each class.

    Args:
        counts: (classes + 1, classes + 1) pixels by ground truth (rows) and prediction (columns);
            the last row and column are the background.
        classes: Names of the classes.
    """
    names = [*classes, BACKGROUND]
    iou, f1 = pixel_iou(counts), pixel_f1(counts)
    right = np.diag(counts).sum() / max(int(counts.sum()), 1)
    overall: Metrics = {
        "mIoU": _mean(iou[:-1]),
        "mIoU_with_background": _mean(iou),
        "pixel_F1": _mean(f1[:-1]),
        "pixel_accuracy": float(right) if counts.any() else None,
    }
    by_class = (
        {n: _nan_to_none(v) for n, v in zip(names, values, strict=True)} for values in (iou, f1)
    )
    own_iou, own_f1 = by_class
    return overall, PixelMetrics(counts=counts.tolist(), iou=own_iou, f1=own_f1)


def threshold_metrics(counts: Counts) -> Metrics:
    """Return precision, recall and F1 at one threshold."""
    return {"precision": counts.precision, "recall": counts.recall, "F1": counts.f1}


def thin_curve(curve: Curve) -> CurvePoints:
    """Thin a curve to the points that a plot needs, with its ends and its best F1."""
    kept = select_plot_points(curve)
    columns = (curve.score, curve.precision, curve.recall, curve.f1)
    score, precision, recall, f1 = (column[kept].tolist() for column in columns)
    return CurvePoints(score=score, precision=precision, recall=recall, f1=f1)


def _measure_class(
    truth: GroundTruth,
    predictions: Predictions,
    matches: Matches,
    voc: Matches,
    coco: CocoMetrics,
    label: int,
    name: str,
    threshold: float,
) -> ClassMetrics:
    in_truth, in_predictions = truth.label == label, predictions.label == label
    truth, predictions = truth.take(in_truth), predictions.take(in_predictions)
    curve = build_curve(truth, predictions, matches.take_predictions(in_predictions))
    metrics = (
        _coco_metrics(coco, label) | threshold_metrics(curve.counts(threshold)) | _best_f1(curve)
    )
    metrics["VOC_AP"] = voc_average_precision(
        truth, predictions, voc.take_predictions(in_predictions)
    )
    return ClassMetrics(name=name, objects=curve.objects, metrics=metrics, curve=thin_curve(curve))


def _coco_metrics(coco: CocoMetrics, label: int | None = None) -> Metrics:
    metrics: Metrics = {
        "AP": coco.ap(label=label),
        "AP50": coco.ap(iou=0.5, label=label),
        "AP75": coco.ap(iou=0.75, label=label),
        "AR": coco.ar(label=label),
    }
    for size in list(SIZES)[1:]:
        metrics[f"AP_{size}"] = coco.ap(label=label, size=size)
        metrics[f"AP50_{size}"] = coco.ap(iou=0.5, label=label, size=size)
        metrics[f"AR_{size}"] = coco.ar(label=label, size=size)
    return metrics


def _best_f1(curve: Curve) -> Metrics:
    if curve.best is None:
        return {"best_F1": 0.0 if curve.objects else None, "best_threshold": None}
    best = curve.counts(curve.best).f1
    # If all detections match crowds and there is no other ground truth, no threshold is best.
    return {"best_F1": best, "best_threshold": None if best is None else curve.best}


def _mean(values: Floats) -> float | None:
    in_truth = values[~np.isnan(values)]
    return float(in_truth.mean()) if in_truth.size else None


def _nan_to_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
