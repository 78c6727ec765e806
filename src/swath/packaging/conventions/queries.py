"""Interpret boxes and class scores in two outputs, as of DETR and YOLO-NAS: a row per query."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.packaging.conventions.convention import Understood, output, passed_over
from swath.packaging.conventions.readings import Reading
from swath.packaging.evidence import (
    ENOUGH,
    best,
    distinct,
    judge_boxes,
    judge_scores,
    sums_to_one,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Activation, BoxFormat, BoxUnits
    from swath.packaging.inspect_weights import Exported

_AXES = 3
_BOX = 4
_LOGITS, _BOXES = ("batch", "query", "class"), ("batch", "query", "coordinate")
_NAMED = {"logits": "logits", "scores": "logits", "pred_boxes": "boxes", "boxes": "boxes"}
_FORMATS: dict[BoxFormat, str] = {"cxcywh": "a centre and sides", "xyxy": "two corners"}
_UNITS: dict[BoxUnits, str] = {"normalised": "in shares of the tile", "px": "in px"}
_ACTIVATIONS: dict[Activation, str] = {
    "none": "scores from 0 to 1",
    "sigmoid": "logits for a sigmoid",
    "softmax": "logits for a softmax",
}
_NOTHING = {"no object", "no_object", "background", "__background__", "n/a"}
_MOSTLY = 0.9


def query_places(exported: Exported) -> list[tuple[int, int]]:
    """Return the possible (scores, boxes) index pairs, by the outputs' names, else shapes."""
    named = {_NAMED[o.name]: p for p, o in enumerate(exported.outputs) if o.name in _NAMED}
    if named.keys() >= {"logits", "boxes"}:
        return [(named["logits"], named["boxes"])]
    rows = [p for p, found in enumerate(exported.outputs) if len(found.shape) == _AXES]
    return [
        (scores, boxes)
        for boxes in rows
        for scores in rows
        if scores != boxes
        and exported.outputs[boxes].shape[2] == _BOX
        and exported.outputs[scores].shape[1] == exported.outputs[boxes].shape[1]
        and named.get("boxes", boxes) == boxes
        and named.get("logits", scores) == scores
    ]


def query_readings(exported: Exported, names: tuple[str, ...], *, settled: bool) -> list[Reading]:
    """Return the readings of two outputs as scores and boxes.

    Args:
        exported: Exported network.
        names: Class names; the last one may be "no object".
        settled: True if each object has one query, as in DETR: center and sides in shares of the
            tile, without NMS. False if the rows are candidates for NMS; the box format is then
            open.
    """
    return [
        _reading(exported, scores, boxes, names, form, settled=settled)
        for (scores, boxes) in query_places(exported)
        for form in product(_ACTIVATIONS, _FORMATS, _UNITS)
        if exported.outputs[scores].shape[2] in {len(names), len(names) + 1}
    ]


def _reading(
    exported: Exported,
    scores: int,
    boxes: int,
    names: tuple[str, ...],
    form: tuple[Activation, BoxFormat, BoxUnits],
    *,
    settled: bool,
) -> Reading:
    activation, box_format, units = form
    width = exported.outputs[scores].shape[2]
    if width == len(names) and names[-1].lower() in _NOTHING:
        names = names[:-1]
    values = np.concatenate([v.reshape(-1, width) for v in exported.outputs[scores].values])
    judged = best(
        [
            judge_boxes(distinct(value.reshape(-1, _BOX)), box_format, units, exported.size)
            for value in exported.outputs[boxes].natural
        ]
    )
    fault = _fault(values.astype(np.float64), activation, names) or judged.fault
    options: dict[str, Any] = {
        "head": "detr",
        "score_activation": activation,
        "box_format": box_format,
        "box_units": units,
    }
    convention = settled and box_format == "cxcywh" and units == "normalised"
    axes = {scores: ("logits", _LOGITS), boxes: ("boxes", _BOXES)}
    return Reading(
        words=f"{exported.outputs[boxes].name} as boxes by {_FORMATS[box_format]} {_UNITS[units]}"
        f" beside {exported.outputs[scores].name} as {_ACTIVATIONS[activation]}",
        settings=options,
        understood=Understood(
            task="object-detection",
            outputs=tuple(
                output(found, axes[place][1], exported, name=axes[place][0])
                if place in axes
                else passed_over(found)
                for place, found in enumerate(exported.outputs)
            ),
            hyperparameters={
                **options,
                "score_threshold": 0.5,
                **({"merge": {"strategy": "none"}} if settled else {}),
            },
            classes=names,
        ),
        fault=fault,
        doubtful=fault is not None and fault == judged.fault and judged.doubtful,
        strong=judged.strong,
        declared=convention and len(exported.outputs) > 1,
    )


def _fault(values: NDArray[np.float64], activation: Activation, names: Sequence[str]) -> str | None:
    """Return the contradiction to an activation; an additional last column is for "no object"."""
    values = values[np.isfinite(values).all(axis=1)]
    further = values.shape[1] - len(names)
    if activation == "sigmoid" and further:
        return "a sigmoid has no column for no object"
    if activation == "softmax" and not further:
        return "a softmax needs a column for no object"
    fault = judge_scores(values, activation).fault
    if fault is None and activation == "none" and further and not sums_to_one(values, axis=1):
        fault = f"{values.shape[1]} scores from 0 to 1 that do not sum to 1 are not {len(names)}"
    if fault is None and further and len(names) > 1 and len(values) >= ENOUGH:
        first, last = (np.mean(values.argmax(axis=1) == c) for c in (0, values.shape[1] - 1))
        if first > _MOSTLY > last:
            fault = "the first column, not the last, is the highest almost everywhere"
    return fault
