"""Compute all metrics of an evaluation from the ground truth and the predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from swath.evaluation.metrics.coco import SIZES, CocoFigures, coco_figures
from swath.evaluation.metrics.curves import Counts, Curve, curve_of, thin, voc_average_precision
from swath.evaluation.metrics.matching import Matches, match
from swath.evaluation.metrics.pixels import pixel_f1, pixel_iou
from swath.evaluation.results import BACKGROUND, ClassFigures, CurvePoints, Figures, PixelFigures

if TYPE_CHECKING:
    from swath._types import Floats, Ints
    from swath.evaluation.metrics.objects import Found, Truth


def measure_objects(
    truth: Truth, found: Found, classes: Sequence[str], *, threshold: float, iou: float
) -> tuple[Figures, list[ClassFigures], CurvePoints]:
    """Return the metrics of objects over all classes, those of each class, and the overall curve.

    Args:
        truth: Ground truth.
        found: Detections, down to a low score.
        classes: Names of the classes.
        threshold: Score threshold at which precision, recall and F1 are computed.
        iou: Minimum IoU of a match.
    """
    coco = coco_figures(truth, found, len(classes))
    matches = match(truth, found, at=iou)
    curve = curve_of(truth, found, matches)
    voc = match(truth, found, at=iou, again=False)
    own = [
        _of_class(truth, found, matches, voc, coco, label, name, threshold)
        for label, name in enumerate(classes)
    ]
    areas = [one.figures["VOC_AP"] for one in own if one.figures["VOC_AP"] is not None]
    whole = _coco(coco) | at_threshold(curve.counts(threshold)) | _best(curve)
    whole["VOC_AP"] = float(np.mean(areas)) if areas else None
    return whole, own, points_of(curve)


def measure_pixels(counts: Ints, classes: Sequence[str]) -> tuple[Figures, PixelFigures]:
    """Return the metrics of masks over all classes, and those of each class.

    Args:
        counts: (classes + 1, classes + 1) pixels by ground truth (rows) and prediction (columns);
            the last row and column are the background.
        classes: Names of the classes.
    """
    names = [*classes, BACKGROUND]
    iou, f1 = pixel_iou(counts), pixel_f1(counts)
    right = np.diag(counts).sum() / max(int(counts.sum()), 1)
    whole: Figures = {
        "mIoU": _mean(iou[:-1]),
        "mIoU_with_background": _mean(iou),
        "pixel_F1": _mean(f1[:-1]),
        "pixel_accuracy": float(right) if counts.any() else None,
    }
    by_class = ({n: _known(v) for n, v in zip(names, of, strict=True)} for of in (iou, f1))
    own_iou, own_f1 = by_class
    return whole, PixelFigures(counts=counts.tolist(), iou=own_iou, f1=own_f1)


def at_threshold(counts: Counts) -> Figures:
    """Return precision, recall and F1 at one threshold."""
    return {"precision": counts.precision, "recall": counts.recall, "F1": counts.f1}


def points_of(curve: Curve) -> CurvePoints:
    """Thin a curve to the points that a plot needs, with its ends and its best F1."""
    kept = thin(curve)
    columns = (curve.score, curve.precision, curve.recall, curve.f1)
    score, precision, recall, f1 = (column[kept].tolist() for column in columns)
    return CurvePoints(score=score, precision=precision, recall=recall, f1=f1)


def _of_class(
    truth: Truth,
    found: Found,
    matches: Matches,
    voc: Matches,
    coco: CocoFigures,
    label: int,
    name: str,
    threshold: float,
) -> ClassFigures:
    known, seen = truth.label == label, found.label == label
    truth, found = truth.take(known), found.take(seen)
    curve = curve_of(truth, found, matches.of_found(seen))
    figures = _coco(coco, label) | at_threshold(curve.counts(threshold)) | _best(curve)
    figures["VOC_AP"] = voc_average_precision(truth, found, voc.of_found(seen))
    return ClassFigures(name=name, objects=curve.truths, figures=figures, curve=points_of(curve))


def _coco(coco: CocoFigures, label: int | None = None) -> Figures:
    figures: Figures = {
        "AP": coco.ap(label=label),
        "AP50": coco.ap(iou=0.5, label=label),
        "AP75": coco.ap(iou=0.75, label=label),
        "AR": coco.ar(label=label),
    }
    for size in list(SIZES)[1:]:
        figures[f"AP_{size}"] = coco.ap(label=label, size=size)
        figures[f"AP50_{size}"] = coco.ap(iou=0.5, label=label, size=size)
        figures[f"AR_{size}"] = coco.ar(label=label, size=size)
    return figures


def _best(curve: Curve) -> Figures:
    if curve.best is None:
        return {"best_F1": 0.0 if curve.truths else None, "best_threshold": None}
    best = curve.counts(curve.best).f1
    # If all detections match crowds and there is no other ground truth, no threshold is best.
    return {"best_F1": best, "best_threshold": None if best is None else curve.best}


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if known.size else None


def _known(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
