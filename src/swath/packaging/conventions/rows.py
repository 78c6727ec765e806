"""Interpret one output that holds a row of numbers for each candidate.

A row is a box, followed by one of three forms: one score per class (`rows`); an objectness and one
score per class (`objectness`); or a score and a class number (`labelled`). Six numbers per row may
be any of the three.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.models.output_spec import BOX_COLUMNS
from swath.packaging.conventions.convention import Understood, output, passed_over
from swath.packaging.conventions.readings import Reading
from swath.packaging.evidence import (
    ENOUGH,
    FINE,
    Judgement,
    best,
    distinct,
    grid_counts,
    is_whole,
    judge_boxes,
    judge_labels,
    judge_scores,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Activation, BoxFormat, BoxUnits, HeadName, OutputLayout
    from swath.packaging.inspect_weights import Exported

_AXES: dict[OutputLayout, tuple[str, ...]] = {
    "channels_first": ("batch", "channel", "candidate"),
    "channels_last": ("batch", "candidate", "channel"),
}
_FORMATS: dict[BoxFormat, str] = {
    "cxcywh": "a box by its centre and sides",
    "xyxy": "a box by two corners",
    "cxcywhr": "an oriented box",
}
_UNITS: dict[BoxUnits, str] = {"px": "in px", "normalised": "in shares of the tile"}
_HEADS: dict[HeadName, str] = {
    "rows": "a score a class",
    "objectness": "an objectness and a score a class",
    "labelled": "a score and the number of a class",
}
_MOST_QUERIES = 1000
"""Maximum number of candidates of a network of queries; networks with more have grids and need
NMS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared:
    """Facts about rows that names, metadata or a convention declare; None where undeclared."""

    task: str | None = None
    """Task, `detect` or `obb`."""
    head: HeadName | None = None
    box_format: BoxFormat | None = None
    box_units: BoxUnits | None = None
    exporter: bool = False
    """True if Ultralytics' exporter since YOLOv8 wrote the file: each column is a candidate,
    with the class scores below center and sides."""


@dataclass(frozen=True, slots=True)
class _Form:
    """One possible form of the rows."""

    head: HeadName
    layout: OutputLayout
    box_format: BoxFormat
    units: BoxUnits
    activation: Activation

    def fits(self, declared: Declared) -> bool:
        pairs = (
            (declared.head, self.head),
            (declared.box_format, self.box_format),
            (declared.box_units, self.units),
        )
        return all(said in {None, own} for said, own in pairs)


def row_readings(
    exported: Exported, place: int, names: tuple[str, ...], declared: Declared
) -> list[Reading]:
    """Return the readings of an output whose shape allows rows.

    Args:
        exported: Exported network.
        place: Index of the output; the other outputs are ignored.
        names: Class names.
        declared: Facts known in addition to the numbers.
    """
    plain = [*_forms(exported, place, names, declared, "none")]
    readings = [_reading(exported, place, names, declared, form) for form in plain]
    if readings and all(reading.fault for reading in readings):
        raw = _forms(exported, place, names, declared, "sigmoid")
        readings += [_reading(exported, place, names, declared, form) for form in raw]
    return readings


def _forms(
    exported: Exported,
    place: int,
    names: tuple[str, ...],
    declared: Declared,
    activation: Activation,
) -> Iterator[_Form]:
    heads: tuple[HeadName, ...] = ("rows", "objectness", "labelled")
    if activation != "none":
        heads = heads[:2]
    _, *lengths = exported.outputs[place].shape
    for (layout, channels), head, box_format, units in product(
        zip(_AXES, lengths, strict=True), heads, _FORMATS, _UNITS
    ):
        oriented = box_format == "cxcywhr"
        if declared.task == ("detect" if oriented else "obb"):
            continue
        if oriented and (head == "objectness" or units == "normalised"):
            continue
        more = {"rows": len(names), "objectness": 1 + len(names), "labelled": 2}[head]
        if channels == BOX_COLUMNS[box_format] + more:
            yield _Form(head, layout, box_format, units, activation)


def _reading(
    exported: Exported, place: int, names: tuple[str, ...], declared: Declared, form: _Form
) -> Reading:
    returned = exported.outputs[place]
    probes = [distinct(by_row([value], form.layout)) for value in returned.natural]
    some = [rows for rows in probes if len(rows)] or probes[:1]
    judgement = best([_judge(rows, form, len(names), exported.size) for rows in some])
    count = returned.shape[1 if form.layout == "channels_last" else 2]
    settings = {
        "head": form.head,
        "box_format": form.box_format,
        "box_units": form.units,
        "output_layout": form.layout,
        "score_activation": form.activation,
    }
    return Reading(
        words=f"{_FORMATS[form.box_format]} {_UNITS[form.units]}, then {_HEADS[form.head]}",
        settings=settings,
        understood=Understood(
            task="object-detection",
            outputs=tuple(
                output(found, _AXES[form.layout], exported)
                if found is returned
                else passed_over(found)
                for found in exported.outputs
            ),
            hyperparameters=_hyperparameters(form, count, exported.size),
            classes=names,
        ),
        fault=judgement.fault,
        doubtful=judgement.doubtful,
        strong=judgement.strong,
        declared=_is_declared(form, declared, max(some, key=len), count, exported.size),
    )


def by_row(values: Sequence[NDArray[Any]], layout: OutputLayout) -> NDArray[Any]:
    """Return the rows (n, channels) of all probes and tiles."""
    arrays = [v.swapaxes(1, 2) if layout == "channels_first" else v for v in values]
    return np.concatenate([array.reshape(-1, array.shape[-1]) for array in arrays])


def _judge(rows: NDArray[np.float64], form: _Form, classes: int, size: int) -> Judgement:
    columns = BOX_COLUMNS[form.box_format]
    box, rest = rows[:, :columns], rows[:, columns:]
    if form.box_format == "cxcywhr":  # the angle is the last of all channels
        box, rest = rows[:, [0, 1, 2, 3, -1]], rows[:, columns - 1 : -1]
    if form.head != "labelled":
        judgement = judge_scores(rest, form.activation)
        if form.head == "objectness" and len(rest) and not rest[:, 1:].any():
            judgement = judgement & Judgement("all classes score 0 beside an objectness")
        boxes = judge_boxes(box, form.box_format, form.units, size)
        # A column of whole numbers is more likely a class number than a score.
        whole = len(rest) and any(is_whole(column) for column in rest.T)
        together = judgement & boxes
        return Judgement(together.fault, boxes.strong and not whole, together.doubtful)
    listed = judge_labels(rest[:, 1], rest[:, 0], 0, classes)
    found = box[rest[:, 0] > 0]
    boxes = judge_boxes(found, form.box_format, form.units, size)
    # Centers and sides are certain if the same numbers cannot be corners.
    settled = boxes.strong or form.box_format == "cxcywhr"
    if form.box_format == "cxcywh":
        settled = judge_boxes(found, "xyxy", form.units, size).fault is not None
    scores = judge_scores(rest[:, :1], "none") if len(rest) else FINE
    together = scores & listed & boxes
    return Judgement(together.fault, listed.strong and settled, together.doubtful)


def _is_declared(
    form: _Form, declared: Declared, rows: NDArray[np.float64], count: int, size: int
) -> bool:
    """Return whether metadata declare the form, or without metadata, the candidate count does."""
    if declared.head or declared.box_format:
        return form.fits(declared)
    if form.box_format == "xyxy" and form.head != "labelled":
        return False
    if judge_boxes(rows, "xyxy", form.units, size).strong:
        return False
    if declared.exporter and form.head == "rows" and form.layout == "channels_first":
        return form.units == "px"
    # Centers of grid candidates cover the whole tile, so other forms would have been evident.
    by_anchors = grid_counts(size)
    usual = {
        "rows": count in by_anchors[1],
        "objectness": count in {*by_anchors[1], *by_anchors[3]},
    }
    return usual.get(form.head, False) and len(rows) >= ENOUGH


def _hyperparameters(form: _Form, count: int, size: int) -> dict[str, Any]:
    found: dict[str, Any] = {"box_format": form.box_format}
    if form.head != "rows":
        found["head"] = form.head
    if form.layout == "channels_last":
        found["output_layout"] = form.layout
    if form.units == "normalised":
        found["box_units"] = form.units
    if form.box_format == "cxcywhr":
        found["angle"] = "last"
    if form.activation != "none":
        found["score_activation"] = form.activation
    queries = form.units == "normalised" and form.layout == "channels_last"
    queries = queries and count <= _MOST_QUERIES and count not in grid_counts(size)[1]
    if form.head == "labelled" or (form.head == "rows" and queries):
        found["merge"] = {"strategy": "none"}
    return found
