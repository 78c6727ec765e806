"""Interpret one output that holds a row of numbers for each candidate.

A row is a box, followed by one of three forms: one score per class (`rows`); an objectness and one
score per class (`objectness`); or a score and a class number (`labeled`). Six numbers per row may
be any of the three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.models.output_spec import BOX_COLUMNS
from swath.packaging.conventions.convention import (
    InferredOutputs,
    describe_ignored,
    describe_output,
)
from swath.packaging.conventions.interpretations import Interpretation
from swath.packaging.evidence import (
    MIN_CONCLUSIVE_ROWS,
    PLAUSIBLE,
    Assessment,
    assess_boxes,
    assess_labels,
    assess_scores,
    best_assessment,
    distinct_rows,
    grid_candidate_counts,
    is_whole,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Activation, BoxFormat, BoxUnits, HeadName, OutputLayout
    from swath.packaging.inspect_weights import ExportedNetwork

_AXES: dict[OutputLayout, tuple[str, ...]] = {
    "channels_first": ("batch", "channel", "candidate"),
    "channels_last": ("batch", "candidate", "channel"),
}
_FORMATS: dict[BoxFormat, str] = {
    "cxcywh": "a box as center and size",
    "xyxy": "a box as two corners",
    "cxcywhr": "an oriented box",
}
_UNITS: dict[BoxUnits, str] = {"px": "in px", "normalized": "in fractions of the tile"}
_HEADS: dict[HeadName, str] = {
    "rows": "one score per class",
    "objectness": "an objectness and one score per class",
    "labeled": "a score and a class number",
}
_MAX_QUERIES = 1000
"""Maximum number of candidates of a network of queries; networks with more have grids and need
NMS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredRows:
    """Facts about rows that names, metadata or a convention declare; None where undeclared."""

    task: str | None = None
    """Task, `detect` or `obb`."""
    head: HeadName | None = None
    box_format: BoxFormat | None = None
    box_units: BoxUnits | None = None
    exporter: bool = False
    """True if Ultralytics' exporter since YOLOv8 wrote the file: each column is a candidate,
    with the class scores below center and size."""


@dataclass(frozen=True, slots=True)
class _RowFormat:
    """One possible form of the rows."""

    head: HeadName
    layout: OutputLayout
    box_format: BoxFormat
    units: BoxUnits
    activation: Activation

    def fits(self, declared: DeclaredRows) -> bool:
        pairs = (
            (declared.head, self.head),
            (declared.box_format, self.box_format),
            (declared.box_units, self.units),
        )
        return all(stated in {None, actual} for stated, actual in pairs)


def row_interpretations(
    exported: ExportedNetwork, index: int, names: tuple[str, ...], declared: DeclaredRows
) -> list[Interpretation]:
    """Return the readings of an output whose shape allows rows.

    Args:
        exported: Exported network.
        index: Index of the output; the other outputs are ignored.
        names: Class names.
        declared: Facts known in addition to the numbers.
    """
    formats = [*_row_formats(exported, index, names, declared, "none")]
    interpretations = [
        _interpretation(exported, index, names, declared, row_format) for row_format in formats
    ]
    if interpretations and all(interpretation.contradiction for interpretation in interpretations):
        raw_formats = _row_formats(exported, index, names, declared, "sigmoid")
        interpretations += [
            _interpretation(exported, index, names, declared, row_format)
            for row_format in raw_formats
        ]
    return interpretations


def _row_formats(
    exported: ExportedNetwork,
    index: int,
    names: tuple[str, ...],
    declared: DeclaredRows,
    activation: Activation,
) -> Iterator[_RowFormat]:
    heads: tuple[HeadName, ...] = ("rows", "objectness", "labeled")
    if activation != "none":
        heads = heads[:2]
    _, *lengths = exported.outputs[index].shape
    for (layout, channels), head, box_format, units in product(
        zip(_AXES, lengths, strict=True), heads, _FORMATS, _UNITS
    ):
        oriented = box_format == "cxcywhr"
        if declared.task == ("detect" if oriented else "obb"):
            continue
        if oriented and (head == "objectness" or units == "normalized"):
            continue
        further = {"rows": len(names), "objectness": 1 + len(names), "labeled": 2}[head]
        if channels == BOX_COLUMNS[box_format] + further:
            yield _RowFormat(head, layout, box_format, units, activation)


def _interpretation(
    exported: ExportedNetwork,
    index: int,
    names: tuple[str, ...],
    declared: DeclaredRows,
    row_format: _RowFormat,
) -> Interpretation:
    exported_output = exported.outputs[index]
    probes = [
        distinct_rows(to_rows([value], row_format.layout))
        for value in exported_output.natural_values
    ]
    some = [rows for rows in probes if len(rows)] or probes[:1]
    assessment = best_assessment(
        [_assess(rows, row_format, len(names), exported.size) for rows in some]
    )
    count = exported_output.shape[1 if row_format.layout == "channels_last" else 2]
    settings = {
        "head": row_format.head,
        "box_format": row_format.box_format,
        "box_units": row_format.units,
        "output_layout": row_format.layout,
        "score_activation": row_format.activation,
    }
    return Interpretation(
        description=f"{_FORMATS[row_format.box_format]} {_UNITS[row_format.units]}, "
        f"then {_HEADS[row_format.head]}",
        settings=settings,
        inferred=InferredOutputs(
            task="object-detection",
            outputs=tuple(
                describe_output(output, _AXES[row_format.layout], exported)
                if output is exported_output
                else describe_ignored(output)
                for output in exported.outputs
            ),
            hyperparameters=_hyperparameters(row_format, count, exported.size),
            classes=names,
        ),
        contradiction=assessment.contradiction,
        is_uncertain=assessment.is_uncertain,
        is_conclusive=assessment.is_conclusive,
        is_declared=_is_declared(row_format, declared, max(some, key=len), count, exported.size),
    )


def to_rows(values: Sequence[NDArray[Any]], layout: OutputLayout) -> NDArray[Any]:
    """Return the rows (n, channels) of all probes and tiles."""
    arrays = [v.swapaxes(1, 2) if layout == "channels_first" else v for v in values]
    return np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])


def _assess(
    rows: NDArray[np.float64], row_format: _RowFormat, classes: int, size: int
) -> Assessment:
    columns = BOX_COLUMNS[row_format.box_format]
    box, other_columns = rows[:, :columns], rows[:, columns:]
    if row_format.box_format == "cxcywhr":  # the angle is the last of all channels
        box, other_columns = rows[:, [0, 1, 2, 3, -1]], rows[:, columns - 1 : -1]
    if row_format.head != "labeled":
        assessment = assess_scores(other_columns, row_format.activation)
        if (
            row_format.head == "objectness"
            and len(other_columns)
            and not other_columns[:, 1:].any()
        ):
            assessment = assessment & Assessment("all class scores are 0 next to an objectness")
        boxes = assess_boxes(box, row_format.box_format, row_format.units, size)
        # A column of whole numbers is more likely a class number than a score.
        has_whole_column = len(other_columns) and any(
            is_whole(column) for column in other_columns.T
        )
        combined = assessment & boxes
        return Assessment(
            combined.contradiction,
            boxes.is_conclusive and not has_whole_column,
            combined.is_uncertain,
        )
    labels = assess_labels(other_columns[:, 1], other_columns[:, 0], 0, classes)
    objects = box[other_columns[:, 0] > 0]
    boxes = assess_boxes(objects, row_format.box_format, row_format.units, size)
    # Centers and sides are certain if the same numbers cannot be corners.
    is_certain = boxes.is_conclusive or row_format.box_format == "cxcywhr"
    if row_format.box_format == "cxcywh":
        is_certain = assess_boxes(objects, "xyxy", row_format.units, size).contradiction is not None
    scores = assess_scores(other_columns[:, :1], "none") if len(other_columns) else PLAUSIBLE
    combined = scores & labels & boxes
    return Assessment(
        combined.contradiction, labels.is_conclusive and is_certain, combined.is_uncertain
    )


def _is_declared(
    row_format: _RowFormat, declared: DeclaredRows, rows: NDArray[np.float64], count: int, size: int
) -> bool:
    """Return whether metadata declare the form, or without metadata, the candidate count does."""
    if declared.head or declared.box_format:
        return row_format.fits(declared)
    if row_format.box_format == "xyxy" and row_format.head != "labeled":
        return False
    if assess_boxes(rows, "xyxy", row_format.units, size).is_conclusive:
        return False
    if declared.exporter and row_format.head == "rows" and row_format.layout == "channels_first":
        return row_format.units == "px"
    # Centers of grid candidates cover the whole tile, so other forms would have been evident.
    counts_by_anchors = grid_candidate_counts(size)
    has_usual_count = {
        "rows": count in counts_by_anchors[1],
        "objectness": count in {*counts_by_anchors[1], *counts_by_anchors[3]},
    }
    return has_usual_count.get(row_format.head, False) and len(rows) >= MIN_CONCLUSIVE_ROWS


def _hyperparameters(row_format: _RowFormat, count: int, size: int) -> dict[str, Any]:
    settings: dict[str, Any] = {"box_format": row_format.box_format}
    if row_format.head != "rows":
        settings["head"] = row_format.head
    if row_format.layout == "channels_last":
        settings["output_layout"] = row_format.layout
    if row_format.units == "normalized":
        settings["box_units"] = row_format.units
    if row_format.box_format == "cxcywhr":
        settings["angle"] = "last"
    if row_format.activation != "none":
        settings["score_activation"] = row_format.activation
    queries = row_format.units == "normalized" and row_format.layout == "channels_last"
    queries = queries and count <= _MAX_QUERIES and count not in grid_candidate_counts(size)[1]
    if row_format.head == "labeled" or (row_format.head == "rows" and queries):
        settings["merge"] = {"strategy": "none"}
    return settings
