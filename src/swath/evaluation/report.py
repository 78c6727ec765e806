"""Render the report of an evaluation as one self-contained HTML file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from swath.evaluation import plots
from swath.evaluation.results import BACKGROUND

if TYPE_CHECKING:
    from swath.evaluation.results import Evaluation
    from swath.evaluation.worst_tiles import Chip

_TEMPLATE = "report.html.j2"
_OBJECT_CARDS = (
    ("AP50", "average precision at IoU 0.5"),
    ("AP", "of COCO: mean over IoU 0.5 to 0.95"),
    ("F1", "at the package's threshold"),
    ("precision", "share of detections that are correct"),
    ("recall", "share of objects that are detected"),
    ("best_F1", "at the best threshold"),
)
_MASK_CARDS = (
    ("mIoU", "mean of the classes' pixel IoU"),
    ("pixel_F1", "mean of the classes' pixel F1"),
    ("polygon_F1", "of SpaceNet: polygons at IoU 0.5"),
    ("polygon_precision", "share of polygons that are correct"),
    ("polygon_recall", "share of labeled polygons that are detected"),
    ("AP50", "average precision of polygons at IoU 0.5"),
)


def render(evaluation: Evaluation, chips: Sequence[Chip]) -> str:
    """Return the report as HTML.

    Args:
        evaluation: Evaluation to report.
        chips: Tiles with the most errors, the worst first.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["figure"] = _format_metric
    return environment.get_template(_TEMPLATE).render(
        evaluation=evaluation,
        chips=chips,
        cards=[(name, text) for name, text in _cards(evaluation) if name in evaluation.metrics],
        precision_recall=plots.precision_recall(evaluation),
        metrics_by_threshold=plots.metrics_by_threshold(evaluation),
        confusion=_confusion(evaluation),
        pixels=_pixels(evaluation),
    )


def _cards(evaluation: Evaluation) -> Sequence[tuple[str, str]]:
    return _MASK_CARDS if evaluation.pixels else _OBJECT_CARDS


def _format_metric(value: float | None) -> str:
    return "\N{EN DASH}" if value is None else f"{value:.3f}"


def _confusion(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the rows of the confusion matrix, with each cell's share of its row."""
    names = [*evaluation.collection.classes, BACKGROUND]
    return [_row(name, counts) for name, counts in zip(names, evaluation.confusion, strict=True)]


def _row(name: str, counts: Sequence[int]) -> dict[str, Any]:
    whole = max(sum(counts), 1)
    return {"name": name, "cells": [(count, round(count / whole, 3)) for count in counts]}


def _pixels(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return each class's pixels in the ground truth and in the prediction, its IoU and its F1."""
    pixels = evaluation.pixels
    if pixels is None:
        return []
    return [
        {
            "name": name,
            "known": sum(pixels.counts[index]),
            "seen": sum(row[index] for row in pixels.counts),
            "iou": pixels.iou[name],
            "f1": pixels.f1[name],
        }
        for index, name in enumerate(pixels.iou)
    ]
