"""Interpret boxes and class scores in two outputs, as of DETR and YOLO-NAS: a row per query."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.packaging.conventions.convention import (
    InferredOutputs,
    describe_ignored,
    describe_output,
)
from swath.packaging.conventions.interpretations import Interpretation
from swath.packaging.evidence import (
    MIN_CONCLUSIVE_ROWS,
    assess_boxes,
    assess_scores,
    best_assessment,
    distinct_rows,
    sums_to_one,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Activation, BoxFormat, BoxUnits
    from swath.packaging.inspect_weights import ExportedNetwork

_AXES = 3
_BOX = 4
_LOGITS, _BOXES = ("batch", "query", "class"), ("batch", "query", "coordinate")
_NAMED = {"logits": "logits", "scores": "logits", "pred_boxes": "boxes", "boxes": "boxes"}
_FORMATS: dict[BoxFormat, str] = {"cxcywh": "center and size", "xyxy": "two corners"}
_UNITS: dict[BoxUnits, str] = {"normalized": "in fractions of the tile", "px": "in px"}
_ACTIVATIONS: dict[Activation, str] = {
    "none": "scores from 0 to 1",
    "sigmoid": "logits for a sigmoid",
    "softmax": "logits for a softmax",
}
_NO_OBJECT_NAMES = {"no object", "no_object", "background", "__background__", "n/a"}
_MIN_MOSTLY_SHARE = 0.9


def query_outputs(exported: ExportedNetwork) -> list[tuple[int, int]]:
    """Return the possible (scores, boxes) index pairs, by the outputs' names, else shapes."""
    named = {_NAMED[o.name]: p for p, o in enumerate(exported.outputs) if o.name in _NAMED}
    if named.keys() >= {"logits", "boxes"}:
        return [(named["logits"], named["boxes"])]
    rows = [p for p, output in enumerate(exported.outputs) if len(output.shape) == _AXES]
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


def query_interpretations(
    exported: ExportedNetwork, names: tuple[str, ...], *, nms_free: bool
) -> list[Interpretation]:
    """Return the readings of two outputs as scores and boxes.

    Args:
        exported: Exported network.
        names: Class names; the last one may be "no object".
        nms_free: True if each object has one query, as in DETR: center and size in fractions of the
            tile, without NMS. False if the rows are candidates for NMS; the box format is then
            open.
    """
    return [
        _reading(exported, scores, boxes, names, variant, nms_free=nms_free)
        for (scores, boxes) in query_outputs(exported)
        for variant in product(_ACTIVATIONS, _FORMATS, _UNITS)
        if exported.outputs[scores].shape[2] in {len(names), len(names) + 1}
    ]


def _reading(
    exported: ExportedNetwork,
    scores: int,
    boxes: int,
    names: tuple[str, ...],
    variant: tuple[Activation, BoxFormat, BoxUnits],
    *,
    nms_free: bool,
) -> Interpretation:
    activation, box_format, units = variant
    width = exported.outputs[scores].shape[2]
    if width == len(names) and names[-1].lower() in _NO_OBJECT_NAMES:
        names = names[:-1]
    values = np.concatenate([v.reshape(-1, width) for v in exported.outputs[scores].values])
    assessment = best_assessment(
        [
            assess_boxes(distinct_rows(value.reshape(-1, _BOX)), box_format, units, exported.size)
            for value in exported.outputs[boxes].natural_values
        ]
    )
    contradiction = (
        _contradiction(values.astype(np.float64), activation, names) or assessment.contradiction
    )
    options: dict[str, Any] = {
        "head": "detr",
        "score_activation": activation,
        "box_format": box_format,
        "box_units": units,
    }
    convention = nms_free and box_format == "cxcywh" and units == "normalized"
    axes = {scores: ("logits", _LOGITS), boxes: ("boxes", _BOXES)}
    return Interpretation(
        description=f"{exported.outputs[boxes].name} as boxes ({_FORMATS[box_format]} "
        f"{_UNITS[units]}) and {exported.outputs[scores].name} as {_ACTIVATIONS[activation]}",
        settings=options,
        inferred=InferredOutputs(
            task="object-detection",
            outputs=tuple(
                describe_output(output, axes[index][1], exported, name=axes[index][0])
                if index in axes
                else describe_ignored(output)
                for index, output in enumerate(exported.outputs)
            ),
            hyperparameters={
                **options,
                "score_threshold": 0.5,
                **({"merge": {"strategy": "none"}} if nms_free else {}),
            },
            classes=names,
        ),
        contradiction=contradiction,
        is_uncertain=contradiction is not None
        and contradiction == assessment.contradiction
        and assessment.is_uncertain,
        is_conclusive=assessment.is_conclusive,
        is_declared=convention and len(exported.outputs) > 1,
    )


def _contradiction(
    values: NDArray[np.float64], activation: Activation, names: Sequence[str]
) -> str | None:
    """Return the contradiction to an activation; an additional last column is for "no object"."""
    values = values[np.isfinite(values).all(axis=1)]
    further = values.shape[1] - len(names)
    if activation == "sigmoid" and further:
        return 'a sigmoid has no column for "no object"'
    if activation == "softmax" and not further:
        return 'a softmax needs a column for "no object"'
    contradiction = assess_scores(values, activation).contradiction
    if (
        contradiction is None
        and activation == "none"
        and further
        and not sums_to_one(values, axis=1)
    ):
        contradiction = (
            f"{values.shape[1]} scores that do not sum to 1 do not match {len(names)} classes"
        )
    if contradiction is None and further and len(names) > 1 and len(values) >= MIN_CONCLUSIVE_ROWS:
        first, last = (np.mean(values.argmax(axis=1) == c) for c in (0, values.shape[1] - 1))
        if first > _MIN_MOSTLY_SHARE > last:
            contradiction = (
                "the first column, not the last, has the highest value in almost all rows"
            )
    return contradiction
