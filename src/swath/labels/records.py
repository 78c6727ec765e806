"""From what a file says of an object to what is trained on: checked, and within its scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.errors import LabelsError
from swath.labels.collection import LabelledScene
from swath.labels.objects import Objects
from swath.models.class_names import fault_of
from swath.raster.scene_info import SceneInfo

if TYPE_CHECKING:
    from numpy.typing import NDArray

_LEEWAY = 1.0
"""px; what lies no farther outside was cut at the edge by others, and not quite exactly."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """One object, as a file of labels says it."""

    source: str
    """How messages call it: the file and its place there."""
    class_name: str
    box: tuple[float, float, float, float]
    """x_min, y_min, x_max, y_max; scene px."""
    outline: Any = None
    """A shapely Polygon or MultiPolygon in scene px; None where only the box is known."""
    crowd: bool = False
    area: float | None = None
    """px², as the file states it; None: of the outline, or else of the box."""


@dataclass(frozen=True, slots=True)
class SceneLabels:
    """A scene's header, and its labels as they were found."""

    scene: SceneInfo
    labels: Sequence[Label]


def class_list(found: Iterable[SceneLabels]) -> tuple[str, ...]:
    """Return the classes that labels name, in order."""
    return tuple(sorted({label.class_name for scene in found for label in scene.labels}))


def check_class_names(classes: Sequence[str], source: str) -> None:
    """Check the names of a collection's classes.

    Raises:
        LabelsError: one cannot be written everywhere, or two look alike.
    """
    if fault := fault_of(classes):
        raise LabelsError(f"{source} names the class {fault}; rename it")


def labelled_scene(
    found: SceneLabels, classes: Sequence[str], *, sha256: str, outlined: bool
) -> LabelledScene:
    """A scene with its labels as arrays, cut off at the scene's edges.

    Args:
        found: the scene and its labels.
        classes: the names of the classes, in order.
        sha256: of the scene's bytes.
        outlined: whether every label has an outline, and they are wanted.

    Raises:
        LabelsError: a label is of no known class, has no area, or lies outside the scene.
    """
    scene = found.scene
    places = {name: place for place, name in enumerate(classes)}
    boxes = np.array([label.box for label in found.labels], np.float64).reshape(-1, 4)
    _check(found, boxes, places)
    outlines = np.array([label.outline for label in found.labels], np.object_)
    objects = Objects(
        boxes=boxes,
        classes=np.array([places[label.class_name] for label in found.labels], np.int64),
        crowd=np.array([label.crowd for label in found.labels], np.bool_),
        outlines=outlines if outlined else None,
        areas=_areas(found.labels, outlined=outlined),
    ).within((0, 0, scene.width, scene.height), least_visible=0)
    return LabelledScene(
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
    """Return the areas, px², that neither the boxes nor the outlines which are kept tell."""
    areas = [
        label.outline.area if label.area is None and label.outline is not None else label.area
        for label in labels
    ]
    told = [label.area is None and (outlined or label.outline is None) for label in labels]
    if all(told):
        return None
    boxes = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (label.box for label in labels)]
    return np.array(
        [box if area is None else area for area, box in zip(areas, boxes, strict=True)], np.float64
    )


def _check(found: SceneLabels, boxes: NDArray[np.float64], places: dict[str, int]) -> None:
    scene = found.scene
    known = np.array([label.class_name in places for label in found.labels], np.bool_)
    finite, sides = np.isfinite(boxes), boxes[:, 2:] - boxes[:, :2]
    extended = np.asarray(finite.all(axis=1) & (sides > 0).all(axis=1))
    after = boxes[:, :2] >= np.add([scene.width, scene.height], _LEEWAY)
    outside = np.any(after | (boxes[:, 2:] <= -_LEEWAY), axis=1)
    for number in np.flatnonzero(~known | ~extended | outside)[:1].tolist():
        label = found.labels[number]
        if not known[number]:
            raise LabelsError(
                f"{label.source} is of the class {label.class_name!r}; the classes are "
                f"{', '.join(places)}. Add it to them, or leave the object out of the labels"
            )
        place = f"{label.source} has the box {_text(boxes[number])}"
        if not finite[number].all():
            raise LabelsError(f"{place}, which are not all numbers; mend or remove it")
        if not extended[number]:
            raise LabelsError(f"{place}, which has no area; mend or remove it")
        raise LabelsError(
            f"{place}, which lies outside its scene, {scene.uri} of {scene.width} x {scene.height} "
            "px; check that the labels are of this scene and in its coordinates, or remove it"
        )


def _text(box: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
