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
from swath.packaging.conventions.class_outputs import interpret_classification
from swath.packaging.conventions.convention import (
    InferredOutputs,
    describe_ignored,
    describe_output,
    describe_shapes,
    require_classes,
)
from swath.packaging.conventions.interpretations import choose_interpretation
from swath.packaging.conventions.object_lists import is_object_list, object_list_interpretations
from swath.packaging.conventions.queries import query_interpretations, query_outputs
from swath.packaging.conventions.rows import DeclaredRows, row_interpretations, to_rows
from swath.packaging.evidence import assess_boxes, assess_labels, assess_scores, distinct_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import BoxFormat, BoxUnits, OutputLayout
    from swath.packaging.inspect_weights import ExportedNetwork

_BOX = 4
_TILE, _ROWS, _MAPS = 2, 3, 4
# Ultralytics' own prediction defaults: https://docs.ultralytics.com/modes/predict/
_OPTIONS = {"score_threshold": 0.25, "iou_threshold": 0.7}
_MAX_LITERAL_CHARACTERS = 1 << 20
_TASKS = ("detect", "obb", "segment", "classify")


def infer_outputs(
    exported: ExportedNetwork, classes: Sequence[str] | None, hyperparameters: Mapping[str, Any]
) -> InferredOutputs:
    """Interpret an export of Ultralytics.

    Args:
        exported: Exported network.
        classes: Class names in the order of the scores; None: those of the metadata.
        hyperparameters: Hyperparameters that the user sets.

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
    names = require_classes(
        classes or _names(exported.metadata), f"{exported.path} has no class names"
    )
    return _with_notes(_read(exported, names, task, hyperparameters), exported.metadata)


def _read(
    exported: ExportedNetwork,
    names: tuple[str, ...],
    task: str | None,
    hyperparameters: Mapping[str, Any],
) -> InferredOutputs:
    by_axes: dict[int, list[int]] = {}
    for index, output in enumerate(exported.outputs):
        by_axes.setdefault(len(output.shape), []).append(index)
    if is_object_list(exported):
        interpretations = object_list_interpretations(exported, names, "ultralytics")
        return _with_options(
            choose_interpretation(
                exported.path, describe_shapes(exported), interpretations, hyperparameters
            )
        )
    if task in {None, "detect"} and query_outputs(exported):
        interpretations = query_interpretations(exported, names, nms_free=False)
        return _with_options(
            choose_interpretation(
                exported.path, describe_shapes(exported), interpretations, hyperparameters
            )
        )
    tiles, rows, maps = (by_axes.get(axes, []) for axes in (_TILE, _ROWS, _MAPS))
    if task in {None, "classify"} and len(tiles) == len(exported.outputs) == 1:
        return interpret_classification(exported, tiles[0], names, hyperparameters)
    if task == "segment" or (task is None and rows and maps):
        return _prototypes(exported, names, rows, maps)
    if len(rows) != 1 or task == "classify":
        raise PackageError(
            f"{exported.path} returns {describe_shapes(exported)}; it has no rows of boxes"
        )
    interpretations = row_interpretations(exported, rows[0], names, _declared(exported, task))
    if not interpretations:
        raise PackageError(
            f"{exported.path} returns {describe_shapes(exported)}, which does not match a box of "
            f"{_BOX} numbers and {len(names)} classes ({', '.join(names[:5])}…): name all classes"
        )
    return _with_options(
        choose_interpretation(
            exported.path, describe_shapes(exported), interpretations, hyperparameters
        )
    )


def _declared(exported: ExportedNetwork, task: str | None) -> DeclaredRows:
    """Return the facts about rows that the exporter's metadata declare.

    Exporters since YOLOv8 write `task` and a `description`; YOLOv5's own repository writes neither.
    """
    notes = exported.metadata
    exporter_text = notes.get("description", "").lower()
    if not exporter_text and task is None:
        old = {"stride", "names"} <= notes.keys()
        return DeclaredRows(task="detect", head="objectness") if old else DeclaredRows()
    oriented: BoxFormat | None = "cxcywhr" if task == "obb" else None
    end_to_end = _literal(notes.get("end2end", ""))
    has_nms = end_to_end is True or _argument(notes, "nms") is True
    if "RTDETR" in notes.get("head", "") or "rtdetr" in exporter_text or "rt-detr" in exporter_text:
        return DeclaredRows(task=task, box_format="cxcywh", box_units="normalized")
    if has_nms:
        return DeclaredRows(
            task=task, head="labeled", box_format=oriented or "xyxy", box_units="px"
        )
    if end_to_end is False or notes.get("head"):
        return DeclaredRows(task=task, head="rows", box_format=oriented or "cxcywh", box_units="px")
    return DeclaredRows(task=task, exporter=task is not None)


def _argument(notes: Mapping[str, str], name: str) -> Any:
    """Return an argument of the export from the metadata; None if it is absent."""
    arguments = _literal(notes.get("args", ""))
    return arguments.get(name) if isinstance(arguments, Mapping) else None


def _with_options(inferred: InferredOutputs) -> InferredOutputs:
    return replace(inferred, hyperparameters={**inferred.hyperparameters, **_OPTIONS})


def _prototypes(
    exported: ExportedNetwork, names: tuple[str, ...], rows: Sequence[int], maps: Sequence[int]
) -> InferredOutputs:
    if len(rows) != 1 or not maps:
        raise PackageError(
            f"{exported.path} returns {describe_shapes(exported)}, without rows and mask prototypes"
        )
    roles = {rows[0]: "rows", maps[0]: "prototypes"}
    mixed = exported.outputs[maps[0]].shape[1]
    _, *lengths = exported.outputs[rows[0]].shape
    channels = _BOX + len(names) + mixed
    first, last = (length == channels for length in lengths)
    values = exported.outputs[rows[0]].natural_values
    if not first and last and _lists_objects(to_rows(values, "channels_last"), names):
        last = False
    if first == last:
        raise PackageError(
            f"{exported.path} returns {describe_shapes(exported)}; swath reads rows of a box, "
            f"{len(names)} scores and a coefficient for each prototype. swath cannot read masks "
            "after NMS in the model: export with nms=False, and YOLO26 also with end2end=False"
        )
    layout: OutputLayout = "channels_first" if first else "channels_last"
    channel = ("channel", "candidate") if first else ("candidate", "channel")
    box = distinct_rows(to_rows(values, layout))[:, : _BOX + len(names)]
    units: BoxUnits = "px"
    assessment = assess_boxes(box, "cxcywh", units, exported.size)
    assessment &= assess_scores(box[:, _BOX:], "none") if len(box) else assessment
    if assessment.contradiction:
        raise PackageError(
            f"{exported.path} returns {describe_shapes(exported)}, which swath cannot read as a "
            f"box as center and size in px, {len(names)} scores and mask coefficients, since "
            f"{assessment.contradiction}"
        )
    axes = {"rows": ("batch", *channel), "prototypes": ("batch", "prototype", "height", "width")}
    return InferredOutputs(
        task="instance-segmentation",
        outputs=tuple(
            describe_output(output, axes[roles[index]], exported, name=roles[index])
            if index in roles
            else describe_ignored(output)
            for index, output in enumerate(exported.outputs)
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
    rows = distinct_rows(rows)
    if len(names) != _BOX - 2 or not len(rows):
        return len(names) == _BOX - 2
    labels = assess_labels(rows[:, _BOX + 1], rows[:, _BOX], 0, len(names))
    return labels.contradiction is None


def _with_notes(inferred: InferredOutputs, metadata: Mapping[str, str]) -> InferredOutputs:
    text = metadata.get("description", "")
    exporter_text = re.search(r"Ultralytics (\S+) model", text)
    properties: dict[str, Any] = {}
    if text:
        properties["description"] = text.strip()
    if metadata.get("license", "").startswith("AGPL-3.0"):
        properties["license"] = "AGPL-3.0-only"
    return replace(
        inferred,
        architecture=exporter_text[1] if exporter_text else "YOLO",
        scaling=(Scale(value=255.0),),
        properties=properties,
        assumptions=(
            *inferred.assumptions,
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
    if not text or len(text) > _MAX_LITERAL_CHARACTERS:
        return None
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text)
        except (ValueError, SyntaxError):
            continue
    return None
