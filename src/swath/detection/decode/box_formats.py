"""Convert boxes from the formats of models."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath._types import Boxes, Floats
    from swath.models.output_spec import BoxFormat


def to_xyxy(boxes: Floats, box_format: BoxFormat) -> Boxes:
    """Return axis-aligned boxes as x0, y0, x1, y1, (n, 4).

    Args:
        boxes: (n, 4) boxes.
        box_format: `xyxy`, `xywh` (upper left corner, width, height) or `cxcywh`.
    """
    first, second = boxes[:, :2], boxes[:, 2:]
    if box_format == "xyxy":
        return boxes
    low = first - second / 2 if box_format == "cxcywh" else first
    return np.concatenate([low, low + second], axis=1)


def to_corners(boxes: Floats, box_format: BoxFormat) -> Floats:
    """Return the corners of oriented boxes, (n, 4, 2) of x, y.

    Args:
        boxes: `xyxyxyxy` (n, 8), or `cxcywhr` (n, 5). The angle in radians turns the box's width
            from the x axis towards the y axis: clockwise on a screen.
        box_format: `xyxyxyxy` or `cxcywhr`.
    """
    if box_format == "xyxyxyxy":
        return boxes.reshape(-1, 4, 2)
    center, width, height, angle = boxes[:, :2], boxes[:, 2:3], boxes[:, 3:4], boxes[:, 4:5]
    cos, sin = np.cos(angle), np.sin(angle)
    along = np.concatenate([cos, sin], axis=1) * np.maximum(width, 0) / 2
    across = np.concatenate([-sin, cos], axis=1) * np.maximum(height, 0) / 2
    around = [-along - across, along - across, along + across, across - along]
    corners: Floats = center[:, None] + np.stack(around, axis=1)
    return corners


def corners_to_polygons(corners: Floats) -> NDArray[np.object_]:
    """Return quadrilaterals as shapely Polygons, (n,).

    A quadrilateral whose sides cross becomes its convex hull. So the outline has area, unless the
    corners lie on a line or in a point.

    Args:
        corners: (n, 4, 2) of x, y, in any order.
    """
    outline = np.atleast_1d(shapely.polygons(corners))
    crossed = ~shapely.is_valid(outline)
    outline[crossed] = shapely.convex_hull(outline[crossed])
    return outline
