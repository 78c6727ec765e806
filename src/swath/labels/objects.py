"""From what a file says of an object to what is trained on: checked, and within its scene."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from swath.errors import LabelsError
from swath.labels.collection import LabelledScene
from swath.scene import Scene

if TYPE_CHECKING:
    from numpy.typing import NDArray

_SLIVER = 0.5
"""px; what is left of an object that the scene's edge cuts off is none if it is thinner."""
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


@dataclass(frozen=True, slots=True)
class SceneLabels:
    """A scene's header, and its labels as they were found."""

    scene: Scene
    labels: Sequence[Label]


def class_list(found: Iterable[SceneLabels], classes: Sequence[str] | None) -> tuple[str, ...]:
    """The classes of a collection: those asked for, or all that its labels name, in order."""
    if classes is not None:
        return tuple(classes)
    return tuple(sorted({label.class_name for scene in found for label in scene.labels}))


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
    inner = np.clip(boxes, 0, [scene.width, scene.height] * 2)
    kept = _worth_keeping(boxes, inner)
    labels = [label for label, keep in zip(found.labels, kept, strict=True) if keep]
    return LabelledScene(
        uri=scene.uri,
        width=scene.width,
        height=scene.height,
        boxes=inner[kept],
        classes=np.array([places[label.class_name] for label in labels], np.int64),
        outlines=_outlines(labels, scene) if outlined else None,
        crowd=np.array([label.crowd for label in labels], np.bool_),
        sha256=sha256,
    )


def _check(found: SceneLabels, boxes: NDArray[np.float64], places: dict[str, int]) -> None:
    scene = found.scene
    size = f"{scene.uri} of {scene.width} x {scene.height} px"
    sides = boxes[:, 2:] - boxes[:, :2]
    outside = (boxes[:, :2] >= np.add([scene.width, scene.height], _LEEWAY)).any(axis=1)
    outside |= (boxes[:, 2:] <= -_LEEWAY).any(axis=1)
    for label, box, side, out in zip(found.labels, boxes, sides, outside, strict=True):
        place = f"the box {_text(box)}"
        if label.class_name not in places:
            raise LabelsError(
                f"{label.source} is of the class {label.class_name!r}; the classes are "
                f"{', '.join(places)}. Add it to them, or leave the object out of the labels"
            )
        if not np.isfinite(box).all() or not (side > 0).all():
            raise LabelsError(f"{label.source} has {place}, which has no area; mend or remove it")
        if out:
            raise LabelsError(
                f"{label.source} has {place}, which lies outside its scene, {size}; check that the "
                "labels are of this scene and in its coordinates, or remove the object"
            )


def _worth_keeping(boxes: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which boxes the scene's edge leaves more of than a sliver; whole ones, however small."""
    whole = (boxes == inner).all(axis=1)
    kept: NDArray[np.bool_] = whole | ((inner[:, 2:] - inner[:, :2]) >= _SLIVER).all(axis=1)
    return kept


def _outlines(labels: Sequence[Label], scene: Scene) -> NDArray[Any]:
    outlines = np.array([label.outline for label in labels], np.object_)
    beyond = np.array([_is_beyond(label.box, scene) for label in labels], np.bool_)
    if beyond.any():
        frame = shapely.box(0, 0, scene.width, scene.height)
        outlines[beyond] = [polygons_of(part & frame) for part in outlines[beyond]]
    return outlines


def _is_beyond(box: tuple[float, ...], scene: Scene) -> bool:
    return min(box[:2]) < 0 or box[2] > scene.width or box[3] > scene.height


def polygons_of(shape: Any) -> Any:
    """The areas of a shape as one valid Polygon or MultiPolygon; empty where it has none."""
    if shape.geom_type in {"Polygon", "MultiPolygon"} and shape.is_valid:
        return shape
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    return shapely.union_all([part for part in parts if part.geom_type == "Polygon"])


def _text(box: NDArray[np.float64]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
