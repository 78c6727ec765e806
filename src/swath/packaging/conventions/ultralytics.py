"""Interpret Ultralytics' exports: YOLOv8 to YOLO26, RT-DETR, and YOLOv5's own repository.

The exporter writes `task`, `names`, `imgsz` and more into ONNX metadata (as Python literals) and
into TorchScript archives (as JSON). The `Detect` heads define the outputs: center, width and height
in px of the tile, then scores after the sigmoid. The angle of an oriented box comes last.

https://github.com/ultralytics/ultralytics/blob/main/ultralytics/engine/exporter.py
https://github.com/ultralytics/ultralytics/blob/main/ultralytics/nn/modules/head.py
https://github.com/ultralytics/yolov5/blob/master/models/yolo.py
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from swath.errors import PackageError
from swath.models.scaling import Scale
from swath.packaging.conventions.classes import of_tiles
from swath.packaging.conventions.convention import (
    Understood,
    need_classes,
    output,
    passed_over,
    shapes_of,
)
from swath.packaging.conventions.listed import is_listed, listed_readings
from swath.packaging.conventions.queries import query_places, query_readings
from swath.packaging.conventions.readings import choose
from swath.packaging.conventions.rows import Declared, by_row, row_readings
from swath.packaging.evidence import distinct, judge_boxes, judge_labels, judge_scores

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import BoxFormat, BoxUnits, OutputLayout
    from swath.packaging.inspect_weights import Exported

_BOX = 4
_TILE, _ROWS, _MAPS = 2, 3, 4
# Ultralytics' own prediction defaults: https://docs.ultralytics.com/modes/predict/
_OPTIONS = {"score_threshold": 0.25, "iou_threshold": 0.7}
_MOST_LITERAL = 1 << 20
_TASKS = ("detect", "obb", "segment", "classify")


def understand(
    exported: Exported, classes: Sequence[str] | None, given: Mapping[str, Any]
) -> Understood:
    """Interpret an export of Ultralytics.

    Args:
        exported: Exported network.
        classes: Class names in the order of the scores; None: those of the metadata.
        given: Hyperparameters that the user sets.

    Raises:
        PackageError: swath does not support the task, or the outputs match no network of the
            library, or they fit several readings.
    """
    task = exported.metadata.get("task")
    if task not in {None, *_TASKS}:
        raise PackageError(
            f"{exported.path} is for Ultralytics' task {task!r}; swath runs detect, obb, segment "
            "and classify"
        )
    names = need_classes(classes or _names(exported.metadata), f"{exported.path} names no classes")
    return _with_notes(_read(exported, names, task, given), exported.metadata)


def _read(
    exported: Exported, names: tuple[str, ...], task: str | None, given: Mapping[str, Any]
) -> Understood:
    by_axes: dict[int, list[int]] = {}
    for place, found in enumerate(exported.outputs):
        by_axes.setdefault(len(found.shape), []).append(place)
    if is_listed(exported):
        readings = listed_readings(exported, names, "ultralytics")
        return _with_options(choose(exported.path, shapes_of(exported), readings, given))
    if task in {None, "detect"} and query_places(exported):
        readings = query_readings(exported, names, settled=False)
        return _with_options(choose(exported.path, shapes_of(exported), readings, given))
    tiles, rows, maps = (by_axes.get(axes, []) for axes in (_TILE, _ROWS, _MAPS))
    if task in {None, "classify"} and len(tiles) == len(exported.outputs) == 1:
        return of_tiles(exported, tiles[0], names, given)
    if task == "segment" or (task is None and rows and maps):
        return _prototypes(exported, names, rows, maps)
    if len(rows) != 1 or task == "classify":
        raise PackageError(f"{exported.path} returns {shapes_of(exported)}; no rows of boxes")
    readings = row_readings(exported, rows[0], names, _declared(exported, task))
    if not readings:
        raise PackageError(
            f"{exported.path} returns {shapes_of(exported)}, which is no box of {_BOX} numbers "
            f"and {len(names)} classes ({', '.join(names[:5])}…): are the classes all named?"
        )
    return _with_options(choose(exported.path, shapes_of(exported), readings, given))


def _declared(exported: Exported, task: str | None) -> Declared:
    """Return the facts about rows that the exporter's metadata declare.

    Exporters since YOLOv8 write `task` and a `description`; YOLOv5's own repository writes neither.
    """
    notes = exported.metadata
    made = notes.get("description", "").lower()
    if not made and task is None:
        old = {"stride", "names"} <= notes.keys()
        return Declared(task="detect", head="objectness") if old else Declared()
    oriented: BoxFormat | None = "cxcywhr" if task == "obb" else None
    end_to_end = _literal(notes.get("end2end", ""))
    settled = end_to_end is True or _argument(notes, "nms") is True
    if "RTDETR" in notes.get("head", "") or "rtdetr" in made or "rt-detr" in made:
        return Declared(task=task, box_format="cxcywh", box_units="normalised")
    if settled:
        return Declared(task=task, head="labelled", box_format=oriented or "xyxy", box_units="px")
    if end_to_end is False or notes.get("head"):
        return Declared(task=task, head="rows", box_format=oriented or "cxcywh", box_units="px")
    return Declared(task=task, exporter=task is not None)


def _argument(notes: Mapping[str, str], name: str) -> Any:
    """Return an argument of the export from the metadata; None if it is absent."""
    arguments = _literal(notes.get("args", ""))
    return arguments.get(name) if isinstance(arguments, Mapping) else None


def _with_options(understood: Understood) -> Understood:
    return replace(understood, hyperparameters={**understood.hyperparameters, **_OPTIONS})


def _prototypes(
    exported: Exported, names: tuple[str, ...], rows: Sequence[int], maps: Sequence[int]
) -> Understood:
    if len(rows) != 1 or not maps:
        raise PackageError(
            f"{exported.path} returns {shapes_of(exported)}; no rows and prototypes of masks"
        )
    places = {rows[0]: "rows", maps[0]: "prototypes"}
    mixed = exported.outputs[maps[0]].shape[1]
    _, *lengths = exported.outputs[rows[0]].shape
    channels = _BOX + len(names) + mixed
    first, last = (length == channels for length in lengths)
    values = exported.outputs[rows[0]].natural
    if not first and last and _lists_objects(by_row(values, "channels_last"), names):
        last = False
    if first == last:
        raise PackageError(
            f"{exported.path} returns {shapes_of(exported)}; swath reads rows of a box, "
            f"{len(names)} scores and a share of each prototype. Masks whose doubles the model "
            "settles cannot be read: export with nms=False, and YOLO26 with end2end=False, too"
        )
    layout: OutputLayout = "channels_first" if first else "channels_last"
    channel = ("channel", "candidate") if first else ("candidate", "channel")
    box = distinct(by_row(values, layout))[:, : _BOX + len(names)]
    units: BoxUnits = "px"
    judgement = judge_boxes(box, "cxcywh", units, exported.size)
    judgement &= judge_scores(box[:, _BOX:], "none") if len(box) else judgement
    if judgement.fault:
        raise PackageError(
            f"{exported.path} returns {shapes_of(exported)}, which swath cannot read as a box by "
            f"its centre and sides in px, {len(names)} scores and a share of each prototype, since "
            f"{judgement.fault}"
        )
    axes = {"rows": ("batch", *channel), "prototypes": ("batch", "prototype", "height", "width")}
    return Understood(
        task="instance-segmentation",
        outputs=tuple(
            output(found, axes[places[place]], exported, name=places[place])
            if place in places
            else passed_over(found)
            for place, found in enumerate(exported.outputs)
        ),
        hyperparameters={
            **_OPTIONS,
            "head": "prototypes",
            "box_format": "cxcywh",
            **({} if first else {"output_layout": layout}),
        },
        classes=names,
    )


def _lists_objects(rows: NDArray[Any], names: tuple[str, ...]) -> bool:
    """Return whether rows may be a box, a score, a class number and mask coefficients.

    That form has the same length as a box, two scores and mask coefficients.
    """
    rows = distinct(rows)
    if len(names) != _BOX - 2 or not len(rows):
        return len(names) == _BOX - 2
    listed = judge_labels(rows[:, _BOX + 1], rows[:, _BOX], 0, len(names))
    return listed.fault is None


def _with_notes(understood: Understood, metadata: Mapping[str, str]) -> Understood:
    text = metadata.get("description", "")
    made = re.search(r"Ultralytics (\S+) model", text)
    properties: dict[str, Any] = {}
    if text:
        properties["description"] = text.strip()
    if metadata.get("license", "").startswith("AGPL-3.0"):
        properties["license"] = "AGPL-3.0-only"
    return replace(
        understood,
        architecture=made[1] if made else "YOLO",
        scaling=(Scale(value=255.0),),
        properties=properties,
        assumed=(
            *understood.assumed,
            "pixels are divided by 255, as Ultralytics does with 8 bits",
        ),
    )


def _names(metadata: Mapping[str, str]) -> list[str] | None:
    """Return the class names from a mapping by number or from a list; None without them."""
    named = _literal(metadata.get("names", ""))
    if isinstance(named, Mapping):
        return [str(named[key]) for key in sorted(named, key=int)]
    return [str(name) for name in named] if isinstance(named, Sequence) else None


def _literal(text: str) -> Any:
    """Parse a Python literal or JSON, as the exporter writes them; None if the text is neither."""
    if not text or len(text) > _MOST_LITERAL:
        return None
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return None
