"""Describe a model's outputs: everything that the heads need to decode them."""

from __future__ import annotations

from typing import Literal

import msgspec

from swath.models.nms_options import NmsOptions

TaskName = Literal[
    "detection", "oriented-detection", "instance-segmentation", "segmentation", "classification"
]
HeadName = Literal[
    "rows", "objectness", "labeled", "detr", "torchvision", "prototypes", "scores", "labels"
]
Role = Literal["rows", "prototypes", "logits", "boxes", "labels", "scores", "masks", "count"]
BoxFormat = Literal["xyxy", "xywh", "cxcywh", "cxcywhr", "xyxyxyxy"]
BoxUnits = Literal["px", "normalized"]
OutputLayout = Literal["channels_first", "channels_last"]
Activation = Literal["none", "sigmoid", "softmax"]
AnglePosition = Literal["after_box", "last"]

BOX_COLUMNS: dict[BoxFormat, int] = {"xyxy": 4, "xywh": 4, "cxcywh": 4, "cxcywhr": 5, "xyxyxyxy": 8}
"""Number of values per box for each format."""

TASK_HEADS: dict[TaskName, tuple[HeadName, ...]] = {
    "detection": ("rows", "objectness", "labeled", "detr", "torchvision"),
    "oriented-detection": ("rows", "objectness", "labeled", "detr"),
    "instance-segmentation": ("torchvision", "prototypes"),
    "segmentation": ("scores", "labels"),
    "classification": ("scores",),
}
"""Heads that each task may have; the first is the default."""
HEAD_ROLES: dict[HeadName, tuple[Role, ...]] = {
    "rows": ("rows",),
    "objectness": ("rows",),
    "labeled": ("rows",),
    "detr": ("logits", "boxes"),
    "torchvision": ("boxes", "labels", "scores"),
    "prototypes": ("rows", "prototypes"),
    "scores": ("scores",),
    "labels": ("labels",),
}
"""Outputs that each head decodes, in order. For instance segmentation, `torchvision` also decodes
`masks`. If an output is named `count`, `torchvision` also decodes the number of objects."""
HEAD_ACTIVATIONS: dict[HeadName, tuple[Activation, ...]] = {
    "rows": ("none", "sigmoid"),
    "objectness": ("none", "sigmoid"),
    "prototypes": ("none", "sigmoid"),
    "detr": ("softmax", "sigmoid", "none"),
    "scores": ("none", "sigmoid", "softmax"),
}
"""Activations that each head may apply to scores; the first is the default. A head that is not
listed applies none."""
DEFAULT_BOX_FORMATS: dict[HeadName, BoxFormat] = {"detr": "cxcywh", "torchvision": "xyxy"}
ROW_HEADS = {"rows", "objectness", "labeled", "prototypes"}
BOX_TASKS = {"detection", "oriented-detection", "instance-segmentation"}
OPTION_READERS: dict[str, set[str]] = {
    "box_format": BOX_TASKS,
    "box_units": BOX_TASKS,
    "output_layout": ROW_HEADS,
    "angle": {"oriented-detection"},
    "score_activation": set(HEAD_ACTIVATIONS),
    "first_label": {"labeled", "torchvision", "labels"},
    "mask_threshold": {"instance-segmentation"},
    "merge": BOX_TASKS,
    "background": {"segmentation", "classification"},
    "ignore_label": {"labels"},
    "min_area": {"segmentation"},
    "mask": {"segmentation"},
}
"""Tasks and heads that use each hyperparameter. For any other task and head it is an error."""


class OutputSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Description of a model's outputs, checked and in swath's terms."""

    task: TaskName
    head: HeadName
    """Head that decodes the outputs."""
    outputs: tuple[Role | None, ...]
    """Role of each output, in the model's order; None for an output that no head uses. The tuple
    ends with the last output that is used; the runtimes do not return the outputs after it."""
    batched: bool
    """Whether the outputs have a batch axis. If not, the model takes one tile per call."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the model's labels."""
    score_threshold: float
    """Lowest score that is reported, 0 to 1."""
    matching: NmsOptions
    """Rule for duplicate detections."""
    box_format: BoxFormat
    box_units: BoxUnits
    """Unit of the model's boxes: px of the tile, or `normalized` to 0 to 1 of the tile's size."""
    output_layout: OutputLayout
    """Axis order of rows: `channels_first` is (channels, candidates), `channels_last` is
    (candidates, channels)."""
    angle: AnglePosition
    """Position of the angle of `cxcywhr` among a row's channels."""
    activation: Activation
    """Function that turns the model's values into scores."""
    first_label: int
    """Label of the first class, if the model returns class labels."""
    mask_threshold: float
    """Lowest probability, 0 to 1, at which a pixel is part of an instance."""
    background: int | None
    """Index of the background class, which is not reported."""
    ignore_label: int | None
    """Label of pixels without a class in a label map."""
    min_area: float
    """Minimum area of a segment in px; smaller segments are dropped."""
    mask: bool
    """Whether a segmentation is also published as a raster."""
