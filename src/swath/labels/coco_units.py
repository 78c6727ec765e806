"""Boxes of COCO in other units than COCO's, told from all boxes of a file together."""

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

_LEEWAY = 1.0
"""px; as of labels that others cut off at a scene's edge."""
_EXACT = 0.01
"""Share by which a stated area may differ from width times height and still be that."""


def check_units(
    annotations: Sequence[Annotation],
    labels: Sequence[Label],
    scenes: Mapping[int | str, SceneInfo],
    source: str,
) -> None:
    """Refuse boxes that are shares of their scenes, or corners, instead of x, y, width and height.

    Args:
        annotations: of a file; their images are known, and each bbox has four numbers.
        labels: what was read of each.
        scenes: by the id of their image.
        source: what messages call the file.

    Raises:
        LabelsError: the boxes make sense in the other unit alone.
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
    beyond = ((boxes[:, :2] + boxes[:, 2:]) > sizes + _LEEWAY).any(axis=1)
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
    ordered = (boxes[:, 2:] > boxes[:, :2]).all() and (boxes[:, :2] >= -_LEEWAY).all()
    return bool(ordered and (boxes[:, 2:] <= sizes + _LEEWAY).all())


def _has_areas(given: Sequence[Annotation], boxes: NDArray[np.float64]) -> bool:
    """Tell whether outlines or stated areas say that the boxes are COCO's."""
    if all(annotation.segmentation for annotation in given):
        return True
    stated = np.array([annotation.area or 0.0 for annotation in given])
    product = boxes[:, 2] * boxes[:, 3]
    return bool((np.abs(stated - product) <= _EXACT * product).all())
