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
    ("AP", "COCO's: mean over IoU 0.5 to 0.95"),
    ("F1", "at the package's threshold"),
    ("precision", "of what is reported, so much is right"),
    ("recall", "of what is there, so much is found"),
    ("best_F1", "at the best threshold"),
)
_MASK_CARDS = (
    ("mIoU", "mean over classes of pixels' IoU"),
    ("pixel_F1", "mean over classes of pixels' F1"),
    ("polygon_F1", "SpaceNet's: polygons at IoU 0.5"),
    ("polygon_precision", "of the polygons reported"),
    ("polygon_recall", "of the polygons labelled"),
    ("AP50", "of polygons, at IoU 0.5"),
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
    environment.filters["figure"] = _figure
    return environment.get_template(_TEMPLATE).render(
        evaluation=evaluation,
        chips=chips,
        cards=[(name, text) for name, text in _cards(evaluation) if name in evaluation.figures],
        precision_recall=plots.precision_recall(evaluation),
        by_threshold=plots.by_threshold(evaluation),
        confusion=_confusion(evaluation),
        pixels=_pixels(evaluation),
    )


def _cards(evaluation: Evaluation) -> Sequence[tuple[str, str]]:
    return _MASK_CARDS if evaluation.pixels else _OBJECT_CARDS


def _figure(value: float | None) -> str:
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
            "known": sum(pixels.counts[place]),
            "seen": sum(row[place] for row in pixels.counts),
            "iou": pixels.iou[name],
            "f1": pixels.f1[name],
        }
        for place, name in enumerate(pixels.iou)
    ]
