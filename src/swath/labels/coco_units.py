"""Detect COCO files whose boxes are in other units, from all boxes of a file together."""

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
"""Maximum relative difference between a stated area and width times height that is rounding."""


def check_units(
    annotations: Sequence[Annotation],
    labels: Sequence[Label],
    scenes: Mapping[int | str, SceneInfo],
    source: str,
) -> None:
    """Raise an error if boxes are normalized or corners, instead of x, y, width and height in px.

    Args:
        annotations: Annotations of a file; their images exist, and each bbox has 4 numbers.
        labels: Label of each annotation.
        scenes: Scenes by the id of their image.
        source: Name of the file in messages.

    Raises:
        LabelsError: The boxes are plausible in another unit only.
    """
    corners = np.array([label.box for label in labels], np.float64).reshape(-1, 4)
    if _are_shares(corners):
        raise LabelsError(
            f"{labels[0].source} has the box {corners[0].tolist()}, and no box of the file leaves "
            "0 to 1; COCO counts px: multiply the boxes by the width and height of their scenes"
        )
    given = [annotation for annotation in annotations if annotation.bbox]
    if not given:
        return
    boxes = np.array([annotation.bbox for annotation in given], np.float64)
    headers = [scenes[annotation.image_id] for annotation in given]
    sizes = np.array([(header.width, header.height) for header in headers], np.float64)
    beyond = ((boxes[:, :2] + boxes[:, 2:]) > sizes + _EDGE_TOLERANCE_PX).any(axis=1)
    if beyond.any() and _are_corners(boxes, sizes) and not _has_areas(given, boxes):
        first = given[int(np.argmax(beyond))]
        raise LabelsError(
            f"{source}: annotation {first.id!r} has the bbox {first.bbox}, which as x, y, width "
            "and height reaches beyond its scene, while every bbox of the file fits as two "
            "corners; write x, y, width and height, or cut the boxes off at the scene's edge"
        )


def _are_shares(corners: NDArray[np.float64]) -> bool:
    inside = (corners >= 0).all() and (corners <= 1).all()
    return bool(inside and (corners != corners.round()).any())


def _are_corners(boxes: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
    ordered = (boxes[:, 2:] > boxes[:, :2]).all() and (boxes[:, :2] >= -_EDGE_TOLERANCE_PX).all()
    return bool(ordered and (boxes[:, 2:] <= sizes + _EDGE_TOLERANCE_PX).all())


def _has_areas(given: Sequence[Annotation], boxes: NDArray[np.float64]) -> bool:
    """Return whether outlines or stated areas show that the boxes are x, y, width and height."""
    if all(annotation.segmentation for annotation in given):
        return True
    stated = np.array([annotation.area or 0.0 for annotation in given])
    product = boxes[:, 2] * boxes[:, 3]
    return bool((np.abs(stated - product) <= _AREA_TOLERANCE * product).all())
