"""Hold labeled objects as arrays, and clip them to a window."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

MIN_VISIBLE_SHARE = 0.3
"""Minimum visible share of an object's area. An object with less becomes a crowd."""
MAX_COORDINATE_PX = 1e9
"""Maximum absolute coordinate in px. Larger ones are not positions in a scene, and geometry
operations would overflow."""
_MIN_CLIPPED_PX = 1.0
"""Minimum width and height in px of a clipped object; thinner ones are dropped."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Objects:
    """Labeled objects in px of a scene or a tile."""

    boxes: NDArray[np.float64]
    """(n, 4): x_min, y_min, x_max, y_max in px."""
    classes: NDArray[np.int64]
    """(n,): index of the class."""
    crowd: NDArray[np.bool_]
    """(n,): True for a crowd, in which detections count as neither hits nor false alarms."""
    outlines: NDArray[Any] | None
    """(n,): shapely Polygons and MultiPolygons in px; None if there are only boxes."""
    areas: NDArray[np.float64] | None = None
    """(n,): areas in px²; None to use the areas of the outlines, or of the boxes if there are no
    outlines."""

    def clip(
        self,
        frame: tuple[float, float, float, float],
        *,
        min_visible_share: float = MIN_VISIBLE_SHARE,
    ) -> Objects:
        """Return the objects in a window, clipped to it.

        Objects wholly inside the window do not change. A clipped object is dropped if it is thinner
        than 1 px, and becomes a crowd if less than `min_visible_share` of its area is inside.

        Args:
            frame: Window in px: x_min, y_min, x_max, y_max.
            min_visible_share: Minimum visible share of an object's area, by its outline, or by its
                box if there are no outlines.
        """
        near = (self.boxes[:, 2:] > frame[:2]).all(axis=1) & (self.boxes[:, :2] < frame[2:]).all(
            axis=1
        )
        nearby = self.take(np.flatnonzero(near))
        inside = (nearby.boxes[:, :2] >= frame[:2]).all(axis=1)
        inside &= (nearby.boxes[:, 2:] <= frame[2:]).all(axis=1)
        if inside.all():
            return nearby
        return _clip_partial(nearby, np.flatnonzero(~inside), frame, min_visible_share)

    def transform(self, convert: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Objects:
        """Return the objects in other coordinates, without their stated areas.

        Args:
            convert: Function that converts (n, 2) x and y. It must keep horizontal and vertical
                lines horizontal or vertical.
        """
        corners = convert(self.boxes.reshape(-1, 2)).reshape(-1, 2, 2)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        outlines = self.outlines
        if outlines is not None and len(outlines):
            outlines = shapely.transform(outlines, convert)
        return Objects(boxes=boxes, classes=self.classes, crowd=self.crowd, outlines=outlines)

    def without_outlines(self) -> Objects:
        """Return the objects with boxes only."""
        return replace(self, outlines=None)

    def take(self, indices: NDArray[np.int64]) -> Objects:
        """Return some of the objects.

        Args:
            indices: (k,) indices of the objects.
        """
        return Objects(
            boxes=self.boxes[indices],
            classes=self.classes[indices],
            crowd=self.crowd[indices],
            outlines=None if self.outlines is None else self.outlines[indices],
            areas=None if self.areas is None else self.areas[indices],
        )


def to_valid_polygons(shape: Any) -> Any:
    """Return the polygons of a shape as one valid Polygon or MultiPolygon; empty if it has none.

    Args:
        shape: shapely geometry of any type, valid or not.
    """
    if shape.geom_type in {"Polygon", "MultiPolygon"} and shape.is_valid:
        return shape
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    return shapely.union_all([part for part in parts if part.geom_type == "Polygon"])


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def _clip_partial(
    whole: Objects, cut: NDArray[np.int64], frame: tuple[float, ...], min_share: float
) -> Objects:
    boxes, crowd, outlines = whole.boxes.copy(), whole.crowd.copy(), whole.outlines
    boxes[cut] = np.clip(boxes[cut], frame[:2] * 2, frame[2:] * 2)
    if outlines is None:
        share = _areas(boxes[cut]) / _areas(whole.boxes[cut])
    else:
        outlines = outlines.copy()
        uncut = outlines[cut]
        outlines[cut] = [
            to_valid_polygons(part) for part in shapely.intersection(uncut, shapely.box(*frame))
        ]
        boxes[cut] = shapely.bounds(outlines[cut])  # NaN where nothing is left
        share = shapely.area(outlines[cut]) / shapely.area(uncut)
    crowd[cut] |= share < min_share
    retained = np.ones(len(boxes), np.bool_)
    retained[cut] = (boxes[cut, 2:] - boxes[cut, :2] >= _MIN_CLIPPED_PX).all(axis=1)
    areas = None if whole.areas is None else whole.areas.copy()
    if areas is not None:
        areas[cut] *= share
    clipped = Objects(
        boxes=boxes, classes=whole.classes, crowd=crowd, outlines=outlines, areas=areas
    )
    return clipped.take(np.flatnonzero(retained))
