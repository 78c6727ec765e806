"""Parse and check what `mlm.json` says about a model's outputs.

The MLM extension has fields for tasks and shapes only. Everything else that decoding an output
needs is in `mlm:hyperparameters`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from swath.errors import PackageError
from swath.models.class_names import invalid_name_reason
from swath.models.mlm_shapes import check_shapes
from swath.models.nms_options import NmsOptions
from swath.models.output_spec import (
    BOX_COLUMNS,
    BOX_TASKS,
    DEFAULT_BOX_FORMATS,
    HEAD_ACTIVATIONS,
    HEAD_ROLES,
    OPTION_READERS,
    TASK_HEADS,
    Activation,
    AnglePosition,
    BoxFormat,
    BoxUnits,
    HeadName,
    OutputLayout,
    OutputSpec,
    Role,
    TaskName,
)
from swath.raster.assets.stack import DEFAULT_GSD_TOLERANCE, DEFAULT_RESAMPLING, Resampling

Precision = Literal["float32", "float16", "bfloat16"]
UnitInterval = Annotated[float, Meta(ge=0, le=1)]

# In order of preference, since an output may name several tasks.
_MLM_TASKS: dict[str, TaskName] = {
    "object-detection": "detection",
    "detection": "detection",
    "instance-segmentation": "instance-segmentation",
    "semantic-segmentation": "segmentation",
    "segmentation": "segmentation",
    "scene-classification": "classification",
    "classification": "classification",
}
MAX_CLASSES = 10_000
MAX_GSD_M = 100_000
"""Largest ground sampling distance in m that a package may state; a typing error is larger."""
_MAX_PIXEL_CLASSES = 255
"""Maximum number of segmentation classes: a mask is uint8, and one value means "no class"."""


class Hyperparameters(msgspec.Struct, frozen=True, kw_only=True):
    """Entries of `mlm:hyperparameters` that swath uses; other entries are ignored."""

    overlap: Annotated[int, Meta(ge=0)]
    """Overlap of neighboring tiles in px."""
    tile_size: Annotated[int, Meta(gt=0)] | None = None
    """Tile size in px; required if the input's shape leaves height and width open."""
    fill_value: float = 0.0
    """Value of invalid pixels, in the scene's numbers, before scaling."""
    precision: Precision = "float32"
    """Precision that a GPU may compute in."""
    score_threshold: UnitInterval | None = None
    """Lowest score that is reported, 0 to 1."""
    iou_threshold: UnitInterval = 0.5
    """Overlap above which two detections are duplicates; the default of `merge`."""
    merge: dict[str, Any] | None = None
    """Fields of `NmsOptions`."""
    head: HeadName | None = None
    box_format: BoxFormat | None = None
    box_units: BoxUnits | None = None
    output_layout: OutputLayout | None = None
    angle: AnglePosition | None = None
    score_activation: Activation | None = None
    first_label: Literal[0, 1] | None = None
    mask_threshold: UnitInterval | None = None
    background: str | None = None
    ignore_label: int | None = None
    min_area: Annotated[float, Meta(ge=0)] | None = None
    """Minimum area of a segment in px."""
    mask: bool | None = None
    gsd: Annotated[float, Meta(gt=0, le=MAX_GSD_M)] | None = None
    """Ground sampling distance in m that scenes are resampled to; None for each scene's own."""
    gsd_tolerance: Annotated[float, Meta(ge=0, lt=1)] = DEFAULT_GSD_TOLERANCE
    """Relative deviation from `gsd` up to which a scene keeps its own pixels."""
    resampling: Resampling = DEFAULT_RESAMPLING
    """Method by which bands on another pixel grid are resampled."""


class NamedEntry(msgspec.Struct):
    """Object with a name, such as a band or a class."""

    name: str


class Structure(msgspec.Struct):
    """Shape, axes and data type of an array, as the MLM extension describes it."""

    shape: list[int]
    dim_order: list[str]
    data_type: str


class MlmOutput(msgspec.Struct):
    """Entry of `mlm:output`, which describes one output of the model."""

    tasks: list[str]
    result: Structure
    name: str = ""
    classes: list[NamedEntry] = msgspec.field(name="classification:classes", default_factory=list)

    @property
    def swath_tasks(self) -> set[TaskName]:
        """Tasks of the output that swath supports."""
        return {_MLM_TASKS[name] for name in self.tasks if name in _MLM_TASKS}


def parse_output_spec(entries: Sequence[MlmOutput], options: Hyperparameters) -> OutputSpec:
    """Return the description of a model's outputs.

    Args:
        entries: Entries of `mlm:output`.
        options: `mlm:hyperparameters`.

    Raises:
        PackageError: swath supports no output that they describe, or they contradict each other.
            The message names the field.
    """
    mlm_task = _task(entries)
    task = _resolve_orientation(mlm_task, options)
    head = _head(task, options)
    _check_options(task, head, options)
    task_entries = [entry for entry in entries if mlm_task in entry.swath_tasks]
    roles = _roles(task, head, task_entries)
    classes = _classes(task_entries, task)
    spec = OutputSpec(
        task=task,
        head=head,
        outputs=_roles_by_index(entries, mlm_task, roles),
        batched=True,
        classes=classes,
        score_threshold=_score_threshold(head, options),
        matching=_nms_options(options),
        box_format=_box_format(task, head, options),
        box_units=options.box_units or ("normalized" if head == "detr" else "px"),
        output_layout=options.output_layout or "channels_first",
        angle=options.angle or "after_box",
        activation=_activation(head, options, classes),
        first_label=_first_label(head, options),
        mask_threshold=0.5 if options.mask_threshold is None else options.mask_threshold,
        background=_background(options, classes),
        ignore_label=options.ignore_label,
        min_area=options.min_area or 0.0,
        mask=bool(options.mask),
    )
    shapes = dict(zip(roles, (entry.result.shape for entry in task_entries), strict=True))
    return msgspec.structs.replace(spec, batched=check_shapes(shapes, spec))


def check_tasks(field: str, names: Sequence[str]) -> None:
    """Raise an error unless swath supports at least one of the tasks.

    Args:
        field: Name of the field in `mlm.json`, for the message.
        names: Names of the tasks.

    Raises:
        PackageError: swath supports none of them. The message has the field, the names and the
            supported tasks.
    """
    if not any(name in _MLM_TASKS for name in names):
        raise PackageError(
            f"{field} names the tasks {list(names)}; swath runs a model for one of "
            f"{', '.join(_MLM_TASKS)}"
        )


def _task(entries: Sequence[MlmOutput]) -> TaskName:
    check_tasks("mlm:output", sorted({task for entry in entries for task in entry.tasks}))
    named = {task for entry in entries for task in entry.swath_tasks}
    return next(task for task in _MLM_TASKS.values() if task in named)


def _resolve_orientation(task: TaskName, options: Hyperparameters) -> TaskName:
    """Return `oriented-detection` instead of `detection` if the box format is an oriented one.

    The MLM extension has no task for oriented detection, so the box format decides.
    """
    oriented = (
        options.box_format is not None and BOX_COLUMNS[options.box_format] > BOX_COLUMNS["xyxy"]
    )
    if oriented and task == "instance-segmentation":
        raise PackageError(
            f"mlm:hyperparameters box_format is {options.box_format}; the boxes of "
            "instance-segmentation are xyxy, xywh or cxcywh"
        )
    return "oriented-detection" if oriented and task == "detection" else task


def _head(task: TaskName, options: Hyperparameters) -> HeadName:
    head = options.head or TASK_HEADS[task][0]
    if head not in TASK_HEADS[task]:
        raise PackageError(
            f"mlm:hyperparameters head is {head}; for {task} it is {' or '.join(TASK_HEADS[task])}"
        )
    return head


def _check_options(task: TaskName, head: HeadName, options: Hyperparameters) -> None:
    for name, readers in OPTION_READERS.items():
        value = getattr(options, name)
        if value is not None and not readers & {task, head}:
            raise PackageError(
                f"mlm:hyperparameters {name} is {value!r}, which has no effect for {task} with the "
                f"head {head} (it is for {', '.join(sorted(readers))}): leave it out"
            )


def _roles(task: TaskName, head: HeadName, task_entries: Sequence[MlmOutput]) -> tuple[Role, ...]:
    """Return the role of each entry: by name if the names are exactly the roles, else by order."""
    masks = task == "instance-segmentation" and head == "torchvision"
    roles: tuple[Role, ...] = (*HEAD_ROLES[head], "masks") if masks else HEAD_ROLES[head]
    if head == "torchvision" and any(entry.name == "count" for entry in task_entries):
        roles = (*roles, "count")
    if len(task_entries) != len(roles):
        raise PackageError(
            f"mlm:output has {len(task_entries)} entries for {task}; the head {head} reads "
            f"{len(roles)} ({', '.join(roles)}): describe each in an entry, in this order"
        )
    # torchvision's detectors differ in the order of labels and scores, so names come first.
    by_name = {str(role): role for role in roles}
    named_roles = tuple(by_name[entry.name] for entry in task_entries if entry.name in by_name)
    return named_roles if {*named_roles} == {*roles} else roles


def _roles_by_index(
    entries: Sequence[MlmOutput], task: TaskName, roles: Sequence[Role]
) -> tuple[Role | None, ...]:
    """Return the role of each output in the model's order; None for an output of another task."""
    indices = [index for index, entry in enumerate(entries) if task in entry.swath_tasks]
    role_at = dict(zip(indices, roles, strict=True))
    return tuple(role_at.get(index) for index in range(indices[-1] + 1))


def _classes(task_entries: Sequence[MlmOutput], task: TaskName) -> tuple[str, ...]:
    class_lists = [
        tuple(entry.name for entry in output.classes) for output in task_entries if output.classes
    ]
    classes = class_lists[0] if class_lists else ()
    if (
        not classes
        or len(set(classes)) != len(classes)
        or any(names != classes for names in class_lists)
    ):
        raise PackageError(
            f"mlm:output classification:classes names "
            f"{[list(names) for names in class_lists]}; give at least one class, unique names, and "
            "the same classes for all outputs"
        )
    if len(classes) > MAX_CLASSES:
        raise PackageError(
            f"mlm:output classification:classes names {len(classes)} classes; swath takes "
            f"{MAX_CLASSES} at most: leave out the classes that the model does not distinguish"
        )
    if reason := invalid_name_reason(classes):
        raise PackageError(f"mlm:output classification:classes names {reason}; rename it")
    if task == "segmentation" and len(classes) > _MAX_PIXEL_CLASSES:
        raise PackageError(
            f"mlm:output classification:classes names {len(classes)} classes; "
            f"swath segments into {_MAX_PIXEL_CLASSES} at most"
        )
    return classes


def _score_threshold(head: HeadName, options: Hyperparameters) -> float:
    if options.score_threshold is None and head != "labels":
        raise PackageError(
            "mlm:hyperparameters has no score_threshold: give the lowest score, 0 to 1, that "
            "swath reports"
        )
    return options.score_threshold or 0.0


def _nms_options(options: Hyperparameters) -> NmsOptions:
    chosen = {"threshold": options.iou_threshold} | (options.merge or {})
    try:
        return msgspec.convert(chosen, NmsOptions)
    except msgspec.ValidationError as error:
        raise PackageError(f"mlm:hyperparameters merge is {options.merge}: {error}") from None


def _box_format(task: TaskName, head: HeadName, options: Hyperparameters) -> BoxFormat:
    chosen = options.box_format or DEFAULT_BOX_FORMATS.get(head)
    if chosen is None and task in BOX_TASKS:
        raise PackageError(
            f"mlm:hyperparameters has no box_format; the head {head} needs one: "
            f"{' or '.join(BOX_COLUMNS)}"
        )
    return chosen or "xyxy"


def _activation(head: HeadName, options: Hyperparameters, classes: tuple[str, ...]) -> Activation:
    offered = HEAD_ACTIVATIONS.get(head, ("none",))
    chosen = options.score_activation or offered[0]
    if chosen not in offered:
        raise PackageError(
            f"mlm:hyperparameters score_activation is {chosen}; "
            f"for the head {head} it is {' or '.join(offered)}"
        )
    if head == "scores" and chosen == "softmax" and len(classes) == 1:
        raise PackageError(
            "mlm:hyperparameters score_activation is softmax, which gives a single class the "
            "score 1 everywhere: use sigmoid"
        )
    return chosen


def _first_label(head: HeadName, options: Hyperparameters) -> int:
    if head == "torchvision" and options.first_label is None:
        raise PackageError(
            "mlm:hyperparameters has no first_label; the head torchvision needs it: give 1 if "
            "the model's labels start at 1 and 0 is the background, as in torchvision, else 0"
        )
    return options.first_label or 0


def _background(options: Hyperparameters, classes: tuple[str, ...]) -> int | None:
    if options.background is None:
        return None
    if options.background not in classes:
        raise PackageError(
            f"mlm:hyperparameters background is {options.background!r}, "
            f"which is not one of the classes {list(classes)}"
        )
    return classes.index(options.background)
