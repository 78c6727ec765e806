"""Detect COCO files whose boxes are not x, y, width and height in px.

All boxes of a file are checked together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from swath.errors import LabelsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.labels.coco_shapes import Annotation
    from swath.labels.records import Label
    from swath.raster.scene_info import SceneInfo

_EDGE_TOLERANCE_PX = 1.0
"""Tolerance in px at a scene's edge, for labels that another tool clipped there."""
_AREA_TOLERANCE = 0.01
"""Maximum difference between a stated area and width times height, as a share of
width times height."""


def check_units(
    annotations: Sequence[Annotation],
    labels: Sequence[Label],
    scenes: Mapping[int | str, SceneInfo],
    source: str,
) -> None:
    """Raise an error if boxes are normalized or corners, instead of x, y, width and height in px.

    Args:
        annotations: Annotations of a file, already checked: their images exist, and each bbox has
            4 numbers.
        labels: Label of each annotation.
        scenes: Scenes by the id of their image.
        source: Name of the file, for messages.

    Raises:
        LabelsError: The boxes are plausible only as normalized boxes or as corners.
    """
    corners = np.array([label.box for label in labels], np.float64).reshape(-1, 4)
    if _are_normalized(corners):
        raise LabelsError(
            f"{labels[0].source} has the box {corners[0].tolist()}, and every box of the file "
            "is between 0 and 1. COCO's boxes are in px; multiply them by the width and height of "
            "their scenes"
        )
    with_bbox = [annotation for annotation in annotations if annotation.bbox]
    if not with_bbox:
        return
    boxes = np.array([annotation.bbox for annotation in with_bbox], np.float64)
    headers = [scenes[annotation.image_id] for annotation in with_bbox]
    sizes = np.array([(header.width, header.height) for header in headers], np.float64)
    beyond = ((boxes[:, :2] + boxes[:, 2:]) > sizes + _EDGE_TOLERANCE_PX).any(axis=1)
    if beyond.any() and _are_corners(boxes, sizes) and not _are_sizes_confirmed(with_bbox, boxes):
        first = with_bbox[int(np.argmax(beyond))]
        raise LabelsError(
            f"{source}: annotation {first.id!r} has the bbox {first.bbox}, which as x, y, width "
            "and height extends beyond its scene. As two corners, every bbox of the file fits; "
            "write x, y, width and height, or clip the boxes at the scene's edge"
        )


def _are_normalized(corners: NDArray[np.float64]) -> bool:
    inside = (corners >= 0).all() and (corners <= 1).all()
    return bool(inside and (corners != corners.round()).any())


def _are_corners(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
    ordered = (boxes[:, 2:] > boxes[:, :2]).all() and (boxes[:, :2] >= -_EDGE_TOLERANCE_PX).all()
    return bool(ordered and (boxes[:, 2:] <= sizes + _EDGE_TOLERANCE_PX).all())


def _are_sizes_confirmed(with_bbox: Sequence[Annotation], boxes: NDArray[np.float64]) -> bool:
    """Return whether outlines or stated areas show that the boxes are x, y, width and height."""
    if all(annotation.segmentation for annotation in with_bbox):
        return True
    stated = np.array([annotation.area or 0.0 for annotation in with_bbox])
    product = boxes[:, 2] * boxes[:, 3]
    return bool((np.abs(stated - product) <= _AREA_TOLERANCE * product).all())
