"""Ultralytics' exports: YOLOv8 to YOLO26, RT-DETR, and YOLOv5's own repository.

The exporter writes `task`, `names`, `imgsz` and more into ONNX's metadata (as Python literals) and
beside TorchScript (as JSON). What the outputs hold is the `Detect` heads' doing: centre, width and
height in px of the tile, scores after the sigmoid; an oriented box's angle comes last.
https://github.com/ultralytics/ultralytics/blob/main/ultralytics/engine/exporter.py
https://github.com/ultralytics/ultralytics/blob/main/ultralytics/nn/modules/head.py
https://github.com/ultralytics/yolov5/blob/master/models/yolo.py
"""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from swath.authoring.conventions.convention import (
    Understood,
    need_classes,
    of_tiles,
    output,
    shapes_of,
)
from swath.errors import PackageError
from swath.runtimes.scaling import Scale

if TYPE_CHECKING:
    from swath.authoring.exported import Exported

_BOX = 4
_ROWS = ("batch", "channel", "candidate")
_LAST = ("batch", "candidate", "channel")
_MASKS = ("batch", "prototype", "height", "width")
# What Ultralytics itself predicts with: https://docs.ultralytics.com/modes/predict/
_OPTIONS = {"score_threshold": 0.25, "iou_threshold": 0.7}
_MOST_LITERAL = 1 << 20


def understand(exported: Exported, classes: Sequence[str] | None) -> Understood:
    """What an export of Ultralytics is.

    Raises:
        PackageError: it is for a task that swath has not, or its outputs are not the library's.
    """
    task = exported.metadata.get("task") or _guess(exported)
    names = need_classes(classes or _names(exported.metadata), f"{exported.path} names no classes")
    if task == "classify":
        understood = of_tiles(exported, 0, names, activation="none")
    elif task in {"detect", "obb", "segment"}:
        understood = _boxes(exported, names, task)
    else:
        raise PackageError(
            f"{exported.path} is for Ultralytics' task {task!r}; swath runs detect, obb, segment "
            "and classify"
        )
    return _with_notes(understood, exported.metadata)


def _guess(exported: Exported) -> str:
    """The task, where the file does not say: by the number of outputs and their axes."""
    first = exported.outputs[0]
    if len(first.shape) == 2:  # noqa: PLR2004 (batch, classes)
        return "classify"
    return "segment" if len(exported.outputs) > 1 else "detect"


def _boxes(exported: Exported, names: tuple[str, ...], task: str) -> Understood:
    rows, count = exported.outputs[0], len(names)
    shape = rows.shape
    if len(shape) != len(_ROWS):
        raise PackageError(f"{exported.path} returns {shapes_of(exported)}; no rows of boxes")
    angle = int(task == "obb")
    settled = shape[2] == _BOX + 2 + angle and shape[1] != _BOX + count + angle
    if task == "segment":
        return _prototypes(exported, names)
    box: dict[str, Any] = {"box_format": "cxcywhr", "angle": "last"} if angle else {}
    if settled:
        box = box or {"box_format": "xyxy"}
        box |= {"head": "labelled", "merge": {"strategy": "none"}}
        return _understood(exported, names, box, last=True)
    if shape[1] == _BOX + count + angle:
        return _understood(exported, names, box or {"box_format": "cxcywh"}, last=False)
    if shape[2] == _BOX + 1 + count and not angle:
        found = {"head": "objectness", "box_format": "cxcywh"}
        return _understood(exported, names, found, last=True)
    if shape[2] == _BOX + count and not angle:
        # RT-DETR: each object once, in shares of the tile.
        box = {"box_format": "cxcywh", "box_units": "normalised", "merge": {"strategy": "none"}}
        return _understood(exported, names, box, last=True)
    raise PackageError(
        f"{exported.path} returns {shapes_of(exported)}, which is no box of {_BOX + angle} numbers "
        f"and {count} classes ({', '.join(names[:5])}…): are the classes all named?"
    )


def _understood(
    exported: Exported, names: tuple[str, ...], box: Mapping[str, Any], *, last: bool
) -> Understood:
    layout = {"output_layout": "channels_last"} if last else {}
    rows = output(exported.outputs[0], _LAST if last else _ROWS, exported)
    return Understood(
        task="object-detection",
        outputs=(rows,),
        hyperparameters={**_OPTIONS, **layout, **box},
        classes=names,
    )


def _prototypes(exported: Exported, names: tuple[str, ...]) -> Understood:
    rows, *more = exported.outputs
    mixed = more[0].shape[1] if more and len(more[0].shape) == len(_MASKS) else 0
    if rows.shape[1] != _BOX + len(names) + mixed or not mixed:
        raise PackageError(
            f"{exported.path} returns {shapes_of(exported)}; swath reads rows of a box, "
            f"{len(names)} scores and a share of each prototype. Masks whose doubles the model "
            "settles cannot be read: export with nms=False, and YOLO26 with end2end=False, too"
        )
    return Understood(
        task="instance-segmentation",
        outputs=(output(rows, _ROWS, exported), output(more[0], _MASKS, exported)),
        hyperparameters={**_OPTIONS, "head": "prototypes", "box_format": "cxcywh"},
        classes=names,
    )


def _with_notes(understood: Understood, metadata: Mapping[str, str]) -> Understood:
    text = metadata.get("description", "")
    made = re.search(r"Ultralytics (\S+) model", text)
    properties: dict[str, Any] = {}
    if text:
        properties["description"] = text.strip()
    if metadata.get("license", "").startswith("AGPL-3.0"):
        properties["license"] = "AGPL-3.0-only"
    return Understood(
        task=understood.task,
        outputs=understood.outputs,
        hyperparameters=understood.hyperparameters,
        classes=understood.classes,
        architecture=made[1] if made else "YOLO",
        scaling=(Scale(value=255.0),),
        properties=properties,
        assumed=("pixels are divided by 255, as Ultralytics does with 8 bits",),
    )


def _names(metadata: Mapping[str, str]) -> list[str] | None:
    """The classes, of a Python literal or of JSON: a mapping of numbers to names, or a list."""
    text = metadata.get("names", "")
    if not text or len(text) > _MOST_LITERAL:
        return None
    try:
        named = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return None
    if isinstance(named, Mapping):
        return [str(named[key]) for key in sorted(named, key=int)]
    return [str(name) for name in named]
