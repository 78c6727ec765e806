"""Read the box, outline and area of a COCO annotation.

COCO has axis-aligned boxes only. CVAT writes a rotated box as the `bbox` before its rotation, with
the angle in `attributes.rotation`:
https://docs.cvat.ai/docs/manual/advanced/formats/format-coco/
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import isfinite
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import shapely

from swath.detection.segmentation.polygonize import polygonize_mask
from swath.errors import LabelsError
from swath.labels import rle
from swath.labels.objects import MAX_COORDINATE_PX, to_valid_polygons

if TYPE_CHECKING:
    from swath.raster.scene_info import SceneInfo

Bounds = tuple[float, float, float, float]

_MIN_POLYGON_VALUES = 6
"""Minimum number of values in a polygon."""
_BBOX_VALUES = 4
"""Number of values in a bbox."""
_BBOX_MODE_XYWH = 1
"""Number of the `bbox_mode` "x, y, width, height" in detectron2."""
_MIN_SAME_IOU = 0.95
"""Minimum IoU at which two outlines are the same one with different rounding."""
_MIN_BBOX_IOU = 0.5
"""Minimum IoU of a bbox and the bounds of its outline."""
_MAX_ROUNDING_PX = 2.0
"""Maximum difference in px between a bbox and the bounds of its outline that needs no check of
their IoU."""


class RunLengthMask(msgspec.Struct):
    """Run-length encoded mask, with runs of pixels in column-major order."""

    counts: str | list[int]
    """Lengths of the runs, a list or a compressed string; see `swath.labels.rle`."""
    size: tuple[int, int]
    """Rows and columns."""


class Annotation(msgspec.Struct):
    """Object of a COCO file."""

    id: int | str
    image_id: int | str
    category_id: int | str
    bbox: list[float] | None = None
    """x, y, width and height in scene px."""
    segmentation: list[list[float]] | RunLengthMask | None = None
    """Polygons, each x, y, x, y, … in scene px, or a mask."""
    area: float | None = None
    """Area in px²."""
    iscrowd: bool | int | None = 0
    attributes: Any = None
    bbox_mode: Any = None
    rotation: Any = None
    angle: Any = None
    theta: Any = None

    @property
    def cvat_rotation(self) -> Any:
        """CVAT's angle as the file gives it; None if there is none."""
        return self.attributes.get("rotation") if isinstance(self.attributes, dict) else None


@dataclass(frozen=True, slots=True)
class Shape:
    """Box, outline and area of an object."""

    box: Bounds
    """x_min, y_min, x_max, y_max in scene px."""
    outline: Any
    """shapely Polygon or MultiPolygon in scene px; None if there is only a box."""
    area: float | None
    """Area in px² that the file states; None if it states none."""


def is_rotated(annotation: Annotation) -> bool:
    """Return whether CVAT rotated the box of an annotation."""
    turn = _number(annotation.cvat_rotation)
    return turn is not None and turn % 360 != 0


def read_shape(annotation: Annotation, scene: SceneInfo, where: str, *, oriented: bool) -> Shape:
    """Return the box, outline and area of an annotation's object.

    Args:
        annotation: Annotation of the object.
        scene: Scene of the object.
        where: Name of the annotation in messages.
        oriented: Whether the file has rotated boxes. A box with the angle 0 then gets an outline,
            too.

    Raises:
        LabelsError: The annotation contradicts itself, or COCO does not define one of its values.
    """
    _check_numbers(annotation, where)
    outline = _outline(annotation, scene, where)
    box = _box(annotation, where)
    _check_angles(annotation, outline, where)
    if box is not None and (
        is_rotated(annotation) or (oriented and annotation.cvat_rotation is not None)
    ):
        outline = _rotate_box(annotation, box, outline, where)
        box = None
    if box is None:
        if outline is None:
            raise LabelsError(f"{where} has neither a bbox nor a segmentation; give it one of them")
        box = _bounds(outline)
    elif outline is not None:
        _check_agree(box, _bounds(outline), where)
    return Shape(box, outline, _area(annotation, where))


def _check_numbers(annotation: Annotation, where: str) -> None:
    drawn = annotation.segmentation if isinstance(annotation.segmentation, list) else ()
    for number in chain(annotation.bbox or (), *drawn):
        if abs(number) > MAX_COORDINATE_PX:
            raise LabelsError(
                f"{where} has the number {number:g}, which is not a position in px; correct it"
            )


def _box(annotation: Annotation, where: str) -> Bounds | None:
    if not annotation.bbox:
        return None
    if len(annotation.bbox) != _BBOX_VALUES:
        raise LabelsError(
            f"{where} has a bbox of {len(annotation.bbox)} numbers; COCO's is x, y, width and "
            "height. Write the corners of an oriented box as its segmentation"
        )
    if annotation.bbox_mode not in {None, _BBOX_MODE_XYWH}:
        raise LabelsError(
            f"{where} has the bbox_mode {annotation.bbox_mode!r}; COCO's bbox is x, y, width and "
            "height. Convert it, and remove bbox_mode"
        )
    x, y, width, height = annotation.bbox
    box = (x, y, x + width, y + height)
    if width <= 0 or height <= 0:
        raise LabelsError(
            f"{where} has the box {_format_point(box)}, which has no area; correct or remove it"
        )
    return box


def _check_angles(annotation: Annotation, outline: Any, where: str) -> None:
    """Raise an error for an invalid CVAT angle, or for another angle if there is no outline."""
    if annotation.cvat_rotation is not None and _number(annotation.cvat_rotation) is None:
        raise LabelsError(
            f"{where} has the attributes.rotation {annotation.cvat_rotation!r}, which is not an "
            "angle in degrees; correct or remove it"
        )
    for name in ("rotation", "angle", "theta"):
        value = getattr(annotation, name)
        if outline is None and value is not None and _number(value) != 0:
            raise LabelsError(
                f"{where} has a bbox and the {name} {value!r}, a rotation that COCO does not "
                "define; write the corners of the oriented box as its segmentation"
            )


def _rotate_box(annotation: Annotation, box: Bounds, outline: Any, where: str) -> Any:
    """Return the outline of a box that CVAT rotated clockwise about its center.

    Args:
        annotation: Annotation with the angle in degrees.
        box: Box before its rotation.
        outline: Outline of the annotation, or None.
        where: Name of the annotation in messages.
    """
    upright = shapely.box(*box)
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    angle = np.deg2rad(_number(annotation.cvat_rotation) or 0.0)
    cos, sin = np.cos(angle), np.sin(angle)

    def rotate(points: Any) -> Any:
        # y points down, so this rotates clockwise.
        return (points - (x, y)) @ np.array([[cos, sin], [-sin, cos]]) + (x, y)

    rotated = shapely.transform(upright, rotate)
    if outline is None:
        return rotated
    if max(_iou(outline, upright), _iou(outline, rotated)) >= _MIN_SAME_IOU:
        return rotated
    if _iou(shapely.box(*outline.bounds), upright) >= _MIN_SAME_IOU:
        return outline  # the box is the bounding box of an outline that was rotated already
    raise LabelsError(
        f"{where} has the rotation {annotation.cvat_rotation} and a segmentation that equals its "
        "bbox neither before nor after the rotation; remove attributes.rotation, or correct bbox"
    )


def _check_agree(box: Bounds, bounds: Bounds, where: str) -> None:
    apart = np.abs(np.subtract(box, bounds)).max()
    if apart > _MAX_ROUNDING_PX and _iou(shapely.box(*box), shapely.box(*bounds)) < _MIN_BBOX_IOU:
        raise LabelsError(
            f"{where} has a bbox from {_format_point(box[:2])} to {_format_point(box[2:])} and a "
            f"segmentation from {_format_point(bounds[:2])} to {_format_point(bounds[2:])}; they "
            "must show one object: "
            "COCO's bbox is x, y, width and height. Correct or remove one of them"
        )


def _area(annotation: Annotation, where: str) -> float | None:
    """Return the stated area in px², or None; many tools write 0 for an unknown area."""
    if annotation.area is not None and annotation.area < 0:
        raise LabelsError(f"{where} has the area {annotation.area:g}; correct or remove it")
    return annotation.area or None


def _outline(annotation: Annotation, scene: SceneInfo, where: str) -> Any:
    drawn = annotation.segmentation
    if not drawn:
        return None
    if isinstance(drawn, RunLengthMask):
        return _runs_to_outline(drawn, scene, where)
    if any(len(ring) < _MIN_POLYGON_VALUES or len(ring) % 2 for ring in drawn):
        raise LabelsError(
            f"{where} has a polygon of {min(map(len, drawn))} numbers; three points are needed, "
            "and two numbers a point"
        )
    rings = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in drawn]
    shape = to_valid_polygons(shapely.union_all([to_valid_polygons(ring) for ring in rings]))
    if shape.is_empty:
        raise LabelsError(f"{where} has an outline without area; correct or remove it")
    return shape


def _runs_to_outline(runs: RunLengthMask, scene: SceneInfo, where: str) -> Any:
    if runs.size != (scene.height, scene.width):
        raise LabelsError(
            f"{where} has a mask of {runs.size[0]} x {runs.size[1]} (rows x columns), and its "
            f"scene {scene.height} x {scene.width}; make them the same"
        )
    try:
        shape = polygonize_mask(rle.decode(runs.counts, runs.size))
    except ValueError as error:
        raise LabelsError(f"{where} has a mask that cannot be read: {error}") from None
    if shape is None:
        raise LabelsError(f"{where} has a mask without pixels; correct or remove it")
    return shape


def _bounds(outline: Any) -> Bounds:
    x_min, y_min, x_max, y_max = outline.bounds
    return x_min, y_min, x_max, y_max


def _iou(one: Any, other: Any) -> float:
    union = shapely.area(shapely.union(one, other))
    return float(shapely.area(shapely.intersection(one, other)) / union) if union else 0.0


def _number(value: Any) -> float | None:
    """Return a finite number from a number or its text; None for any other value."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _format_point(point: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in point) + ")"
