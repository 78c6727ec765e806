"""Check labels from a file, and convert them to arrays clipped to their scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import LabelsError
from swath.labels.collection import LabeledScene
from swath.labels.objects import Objects
from swath.models.class_names import invalid_name_reason
from swath.raster.scene_info import SceneInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

_EDGE_TOLERANCE_PX = 1.0
"""Tolerance in px outside a scene, for labels that another tool clipped at the edge inexactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """Object from a label file."""

    source: str
    """Name of the object, for messages: the file, and the object's id, number or line in it."""
    class_name: str
    box: tuple[float, float, float, float]
    """x_min, y_min, x_max, y_max in scene px."""
    outline: Any = None
    """shapely Polygon or MultiPolygon in scene px; None if there is only a box."""
    crowd: bool = False
    """Whether the object is a crowd, in which detections count as neither hits nor false alarms."""
    area: float | None = None
    """Area in px² that the file states; None to use that of the outline, or of the box if there
    is no outline."""


@dataclass(frozen=True, slots=True)
class SceneLabels:
    """Header of a scene, with its labels."""

    scene: SceneInfo
    labels: Sequence[Label]


def class_list(scene_labels: Iterable[SceneLabels]) -> tuple[str, ...]:
    """Return the classes of labels, sorted by name."""
    return tuple(sorted({label.class_name for scene in scene_labels for label in scene.labels}))


def check_class_names(classes: Sequence[str], source: str) -> None:
    """Check the names of a collection's classes.

    Args:
        classes: Names of the classes.
        source: Name of the label file, for messages.

    Raises:
        LabelsError: A name is empty, too long or has a control character, or two names look the
            same.
    """
    if fault := invalid_name_reason(classes):
        raise LabelsError(f"{source} names the class {fault}; rename it")


def labeled_scene(
    scene_labels: SceneLabels, classes: Sequence[str], *, sha256: str, outlined: bool
) -> LabeledScene:
    """Return a scene with its labels as arrays, clipped at the scene's edges.

    Args:
        scene_labels: Scene and its labels.
        classes: Names of the classes, in order.
        sha256: SHA-256, hex, of the scene's bytes.
        outlined: Whether to keep the outlines, which every label must then have.

    Raises:
        LabelsError: A label has an unknown class, has no area, or lies outside the scene.
    """
    scene = scene_labels.scene
    class_indices = {name: index for index, name in enumerate(classes)}
    boxes = np.array([label.box for label in scene_labels.labels], np.float64).reshape(-1, 4)
    _check(scene_labels, boxes, class_indices)
    outlines = np.array([label.outline for label in scene_labels.labels], np.object_)
    objects = Objects(
        boxes=boxes,
        classes=np.array(
            [class_indices[label.class_name] for label in scene_labels.labels], np.int64
        ),
        crowd=np.array([label.crowd for label in scene_labels.labels], np.bool_),
        outlines=outlines if outlined else None,
        areas=_areas(scene_labels.labels, outlined=outlined),
    ).clip((0, 0, scene.width, scene.height), min_visible_share=0)
    return LabeledScene(
        uri=scene.uri,
        width=scene.width,
        height=scene.height,
        boxes=objects.boxes,
        classes=objects.classes,
        outlines=objects.outlines,
        crowd=objects.crowd,
        areas=objects.areas,
        sha256=sha256,
    )


def _areas(labels: Sequence[Label], *, outlined: bool) -> NDArray[np.float64] | None:
    """Return the areas (n,) in px², or None if they follow from the boxes or the kept outlines."""
    areas = [
        label.outline.area if label.area is None and label.outline is not None else label.area
        for label in labels
    ]
    has_default_area = [
        label.area is None and (outlined or label.outline is None) for label in labels
    ]
    if all(has_default_area):
        return None
    boxes = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (label.box for label in labels)]
    return np.array(
        [box if area is None else area for area, box in zip(areas, boxes, strict=True)], np.float64
    )


def _check(
    scene_labels: SceneLabels, boxes: NDArray[np.float64], class_indices: dict[str, int]
) -> None:
    scene = scene_labels.scene
    known = np.array([label.class_name in class_indices for label in scene_labels.labels], np.bool_)
    finite, sides = np.isfinite(boxes), boxes[:, 2:] - boxes[:, :2]
    has_area = np.asarray(finite.all(axis=1) & (sides > 0).all(axis=1))
    beyond = boxes[:, :2] >= np.add([scene.width, scene.height], _EDGE_TOLERANCE_PX)
    outside = np.any(beyond | (boxes[:, 2:] <= -_EDGE_TOLERANCE_PX), axis=1)
    for number in np.flatnonzero(~known | ~has_area | outside)[:1].tolist():
        label = scene_labels.labels[number]
        if not known[number]:
            raise LabelsError(
                f"{label.source} has the class {label.class_name!r}, but the classes are "
                f"{', '.join(class_indices)}. Add the class, or remove the object from the labels"
            )
        start = f"{label.source} has the box {_format_box(boxes[number])}"
        if not finite[number].all():
            raise LabelsError(f"{start}, whose values are not all finite; correct or remove it")
        if not has_area[number]:
            raise LabelsError(f"{start}, which has no area; correct or remove it")
        raise LabelsError(
            f"{start}, which lies outside its scene, {scene.uri} ({scene.width} x {scene.height} "
            "px); check that the labels belong to this scene and use its coordinates, or "
            "remove the box"
        )


def _format_box(box: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
