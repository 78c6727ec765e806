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
"""Value of detectron2's `bbox_mode` for boxes of x, y, width and height."""
_MIN_SAME_IOU = 0.95
"""Minimum IoU of two outlines that differ only by rounding."""
_MIN_BBOX_IOU = 0.5
"""Minimum IoU of a bbox and the bounds of its outline."""
_MAX_ROUNDING_PX = 2.0
"""Maximum difference in px between a bbox and the bounds of its outline that counts as rounding.
Their IoU is checked only if the difference is larger."""


class RunLengthMask(msgspec.Struct):
    """Run-length encoded mask, with runs of pixels in column-major order."""

    counts: str | list[int]
    """Lengths of the runs, a list or a compressed string; see `swath.labels.rle`."""
    size: tuple[int, int]
    """Rows and columns."""


class Annotation(msgspec.Struct):
    """Annotation of a COCO file: one object, or a crowd."""

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
        """CVAT's angle in degrees, not yet checked; None if the file gives none."""
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
    angle = _number(annotation.cvat_rotation)
    return angle is not None and angle % 360 != 0


def read_shape(annotation: Annotation, scene: SceneInfo, where: str, *, oriented: bool) -> Shape:
    """Return the box, outline and area of an annotation's object.

    Args:
        annotation: Annotation of the object.
        scene: Scene of the object.
        where: Name of the annotation, for messages.
        oriented: Whether any box of the file is rotated. If so, a box with the angle 0 gets an
            outline, too.

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
        _check_bbox_fits(box, _bounds(outline), where)
    return Shape(box, outline, _area(annotation, where))


def _check_numbers(annotation: Annotation, where: str) -> None:
    polygons = annotation.segmentation if isinstance(annotation.segmentation, list) else ()
    for number in chain(annotation.bbox or (), *polygons):
        if abs(number) > MAX_COORDINATE_PX:
            raise LabelsError(
                f"{where} has the number {number:g}, which is not plausible in px; correct it"
            )


def _box(annotation: Annotation, where: str) -> Bounds | None:
    if not annotation.bbox:
        return None
    if len(annotation.bbox) != _BBOX_VALUES:
        raise LabelsError(
            f"{where} has a bbox of {len(annotation.bbox)} numbers; COCO's bbox is x, y, width "
            "and height. Write the corners of a rotated box as the segmentation"
        )
    if annotation.bbox_mode not in {None, _BBOX_MODE_XYWH}:
        raise LabelsError(
            f"{where} has the bbox_mode {annotation.bbox_mode!r}; COCO's bbox is x, y, width and "
            "height. Convert the bbox, and remove bbox_mode"
        )
    x, y, width, height = annotation.bbox
    box = (x, y, x + width, y + height)
    if width <= 0 or height <= 0:
        raise LabelsError(
            f"{where} has the box {_format_point(box)}, which has no area; correct or remove it"
        )
    return box


def _check_angles(annotation: Annotation, outline: Any, where: str) -> None:
    """Raise an error for an invalid CVAT angle, or another tool's angle without an outline."""
    if annotation.cvat_rotation is not None and _number(annotation.cvat_rotation) is None:
        raise LabelsError(
            f"{where} has the attributes.rotation {annotation.cvat_rotation!r}, which is not an "
            "angle in degrees; correct or remove it"
        )
    for name in ("rotation", "angle", "theta"):
        value = getattr(annotation, name)
        if outline is None and value is not None and _number(value) != 0:
            raise LabelsError(
                f"{where} has a bbox and the {name} {value!r}, which COCO does not define; "
                "write the corners of the rotated box as the segmentation"
            )


def _rotate_box(annotation: Annotation, box: Bounds, outline: Any, where: str) -> Any:
    """Return the outline of a box that CVAT rotated clockwise about its center.

    Args:
        annotation: Annotation with the angle in degrees.
        box: Box before its rotation.
        outline: Outline of the segmentation, rotated or not; None if there is no segmentation.
        where: Name of the annotation, for messages.
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
        return outline  # the outline is already rotated; the box is its bounding box
    raise LabelsError(
        f"{where} has the rotation {annotation.cvat_rotation}, but its segmentation matches "
        "neither the bbox nor the rotated bbox; remove attributes.rotation, or correct the bbox"
    )


def _check_bbox_fits(box: Bounds, bounds: Bounds, where: str) -> None:
    difference = np.abs(np.subtract(box, bounds)).max()
    if (
        difference > _MAX_ROUNDING_PX
        and _iou(shapely.box(*box), shapely.box(*bounds)) < _MIN_BBOX_IOU
    ):
        raise LabelsError(
            f"{where} has a bbox from {_format_point(box[:2])} to {_format_point(box[2:])} and a "
            f"segmentation from {_format_point(bounds[:2])} to {_format_point(bounds[2:])}; they "
            "must enclose the same object. "
            "COCO's bbox is x, y, width and height. Correct or remove one of them"
        )


def _area(annotation: Annotation, where: str) -> float | None:
    """Return the stated area in px²; None if it is missing or 0.

    Many tools write 0 for an unknown area.
    """
    if annotation.area is not None and annotation.area < 0:
        raise LabelsError(
            f"{where} has the negative area {annotation.area:g}; correct or remove it"
        )
    return annotation.area or None


def _outline(annotation: Annotation, scene: SceneInfo, where: str) -> Any:
    segmentation = annotation.segmentation
    if not segmentation:
        return None
    if isinstance(segmentation, RunLengthMask):
        return _runs_to_outline(segmentation, scene, where)
    if any(len(ring) < _MIN_POLYGON_VALUES or len(ring) % 2 for ring in segmentation):
        raise LabelsError(
            f"{where} has a polygon of fewer than three points, or of an odd number of values; "
            "write x and y of at least three points"
        )
    rings = [shapely.Polygon(np.reshape(ring, (-1, 2))) for ring in segmentation]
    shape = to_valid_polygons(shapely.union_all([to_valid_polygons(ring) for ring in rings]))
    if shape.is_empty:
        raise LabelsError(f"{where} has an outline without area; correct or remove it")
    return shape


def _runs_to_outline(runs: RunLengthMask, scene: SceneInfo, where: str) -> Any:
    if runs.size != (scene.height, scene.width):
        raise LabelsError(
            f"{where} has a mask of {runs.size[0]} x {runs.size[1]} (rows x columns), but its "
            f"scene is {scene.height} x {scene.width}; make them the same size"
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
    """Convert a number, or the text of one, to a finite float; return None for any other value."""
    if isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return number if isfinite(number) else None


def _format_point(point: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in point) + ")"
