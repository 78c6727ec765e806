"""What a model's outputs are: all that the heads need to read them."""

from __future__ import annotations

from typing import Literal

import msgspec

from swath.models.nms_options import Matching

TaskName = Literal[
    "detection", "oriented-detection", "instance-segmentation", "segmentation", "classification"
]
HeadName = Literal[
    "rows", "objectness", "labelled", "detr", "torchvision", "prototypes", "scores", "labels"
]
Role = Literal["rows", "prototypes", "logits", "boxes", "labels", "scores", "masks", "count"]
BoxFormat = Literal["xyxy", "xywh", "cxcywh", "cxcywhr", "xyxyxyxy"]
BoxUnits = Literal["px", "normalised"]
OutputLayout = Literal["channels_first", "channels_last"]
Activation = Literal["none", "sigmoid", "softmax"]
AnglePlace = Literal["after_box", "last"]

COLUMNS: dict[BoxFormat, int] = {"xyxy": 4, "xywh": 4, "cxcywh": 4, "cxcywhr": 5, "xyxyxyxy": 8}
"""How many numbers a box of each format is."""

HEADS: dict[TaskName, tuple[HeadName, ...]] = {
    "detection": ("rows", "objectness", "labelled", "detr", "torchvision"),
    "oriented-detection": ("rows", "objectness", "labelled", "detr"),
    "instance-segmentation": ("torchvision", "prototypes"),
    "segmentation": ("scores", "labels"),
    "classification": ("scores",),
}
"""Which heads a task may have; the first is the default."""
ROLES: dict[HeadName, tuple[Role, ...]] = {
    "rows": ("rows",),
    "objectness": ("rows",),
    "labelled": ("rows",),
    "detr": ("logits", "boxes"),
    "torchvision": ("boxes", "labels", "scores"),
    "prototypes": ("rows", "prototypes"),
    "scores": ("scores",),
    "labels": ("labels",),
}
"""What a head reads, in order; `torchvision` reads masks, too, where the task is instances, and the
count of objects, where an output is named so."""
ACTIVATIONS: dict[HeadName, tuple[Activation, ...]] = {
    "rows": ("none", "sigmoid"),
    "objectness": ("none", "sigmoid"),
    "prototypes": ("none", "sigmoid"),
    "detr": ("softmax", "sigmoid", "none"),
    "scores": ("none", "sigmoid", "softmax"),
}
"""What a head may do to scores, the default first; a head that is not named does nothing."""
BOX_FORMATS: dict[HeadName, BoxFormat] = {"detr": "cxcywh", "torchvision": "xyxy"}
OF_ROWS = {"rows", "objectness", "labelled", "prototypes"}
OF_BOXES = {"detection", "oriented-detection", "instance-segmentation"}
READ_BY: dict[str, set[str]] = {
    "box_format": OF_BOXES,
    "box_units": OF_BOXES,
    "output_layout": OF_ROWS,
    "angle": {"oriented-detection"},
    "score_activation": set(ACTIVATIONS),
    "first_label": {"labelled", "torchvision", "labels"},
    "mask_threshold": {"instance-segmentation"},
    "merge": OF_BOXES,
    "background": {"segmentation", "classification"},
    "ignore_label": {"labels"},
    "min_area": {"segmentation"},
    "mask": {"segmentation"},
}
"""Which tasks and heads read a hyperparameter: given to another, it is a mistake."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model's outputs are, checked and in swath's words."""

    task: TaskName
    head: HeadName
    outputs: tuple[Role | None, ...]
    """What each of the model's outputs is, in the model's order; None: not read. The last one that
    is read ends them: what the model returns beyond it is not asked for."""
    batched: bool
    """False: the outputs have no batch axis, so the model takes one tile a call."""
    classes: tuple[str, ...]
    score_threshold: float
    matching: Matching
    """Which detections are of one object."""
    box_format: BoxFormat
    box_units: BoxUnits
    output_layout: OutputLayout
    """Of rows: (channels, candidates), or (candidates, channels)."""
    angle: AnglePlace
    """Where the angle of `cxcywhr` stands among a row's channels."""
    activation: Activation
    """What turns the model's numbers into scores."""
    first_label: int
    """The number of the first class, where the model gives numbers of classes."""
    mask_threshold: float
    """From this probability on, a pixel is part of an instance."""
    background: int | None
    """The class that is nothing: it is not reported."""
    ignore_label: int | None
    """What a label map says where it says nothing."""
    min_area: float
    """px; a segment with less is dropped."""
    mask: bool
    """Whether a segmentation is published as a raster, too."""
