"""Objects as arrays, and the rule of what a frame shows of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_VISIBLE = 0.3
"""Of an object's area; what shows less of it counts neither way."""
FARTHEST = 1e9
"""px; what lies farther out is no place in a scene, and geometry overflows."""
_SLIVER = 1.0
"""px; an object of which a thinner strip is left is not there."""


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Objects:
    """Objects in px of whatever they are in."""

    boxes: NDArray[np.float64]
    """(n, 4): x_min, y_min, x_max, y_max."""
    classes: NDArray[np.int64]
    """(n,)."""
    crowd: NDArray[np.bool_]
    """(n,): True where a label counts neither way."""
    outlines: NDArray[Any] | None
    """(n,) of shapely Polygons and MultiPolygons; None where there are only boxes."""
    areas: NDArray[np.float64] | None = None
    """(n,) px², as the labels state them; None: those of the outlines, or else of the boxes."""

    def within(
        self, frame: tuple[float, float, float, float], *, least_visible: float = LEAST_VISIBLE
    ) -> Objects:
        """The objects that a frame shows, cut off at its edges.

        Of what the edges cut, strips thinner than 1 px are dropped; an object that shows less than
        `least_visible` of its area counts neither way. Objects wholly within stay as they are.

        Args:
            frame: x_min, y_min, x_max, y_max.
            least_visible: share of the area of the outline, or without one of the box.
        """
        near = (self.boxes[:, 2:] > frame[:2]).all(axis=1) & (self.boxes[:, :2] < frame[2:]).all(
            axis=1
        )
        found = self.chosen(np.flatnonzero(near))
        inside = (found.boxes[:, :2] >= frame[:2]).all(axis=1)
        inside &= (found.boxes[:, 2:] <= frame[2:]).all(axis=1)
        if inside.all():
            return found
        return _cut(found, np.flatnonzero(~inside), frame, least_visible)

    def moved(self, place: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Objects:
        """The objects elsewhere, without the areas that the labels state.

        Args:
            place: from (n, 2) x and y to the same; it must keep level and upright lines so.
        """
        corners = place(self.boxes.reshape(-1, 2)).reshape(-1, 2, 2)
        boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
        outlines = self.outlines
        if outlines is not None and len(outlines):
            outlines = shapely.transform(outlines, place)
        return Objects(boxes=boxes, classes=self.classes, crowd=self.crowd, outlines=outlines)

    def without_outlines(self) -> Objects:
        """The objects as boxes alone."""
        return replace(self, outlines=None)

    def chosen(self, places: NDArray[np.int64]) -> Objects:
        """Some of the objects."""
        return Objects(
            boxes=self.boxes[places],
            classes=self.classes[places],
            crowd=self.crowd[places],
            outlines=None if self.outlines is None else self.outlines[places],
            areas=None if self.areas is None else self.areas[places],
        )


def polygons_of(shape: Any) -> Any:
    """The areas of a shape as one valid Polygon or MultiPolygon; empty where it has none."""
    if shape.geom_type in {"Polygon", "MultiPolygon"} and shape.is_valid:
        return shape
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(shape)))
    return shapely.union_all([part for part in parts if part.geom_type == "Polygon"])


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray(sides[:, 0] * sides[:, 1])


def _cut(whole: Objects, cut: NDArray[np.int64], frame: tuple[float, ...], least: float) -> Objects:
    boxes, crowd, outlines = whole.boxes.copy(), whole.crowd.copy(), whole.outlines
    boxes[cut] = np.clip(boxes[cut], frame[:2] * 2, frame[2:] * 2)
    if outlines is None:
        share = _areas(boxes[cut]) / _areas(whole.boxes[cut])
    else:
        outlines = outlines.copy()
        uncut = outlines[cut]
        outlines[cut] = [
            polygons_of(part) for part in shapely.intersection(uncut, shapely.box(*frame))
        ]
        boxes[cut] = shapely.bounds(outlines[cut])  # NaN where nothing is left
        share = shapely.area(outlines[cut]) / shapely.area(uncut)
    crowd[cut] |= share < least
    kept = np.ones(len(boxes), np.bool_)
    kept[cut] = (boxes[cut, 2:] - boxes[cut, :2] >= _SLIVER).all(axis=1)
    areas = None if whole.areas is None else whole.areas.copy()
    if areas is not None:
        areas[cut] *= share
    left = Objects(boxes=boxes, classes=whole.classes, crowd=crowd, outlines=outlines, areas=areas)
    return left.chosen(np.flatnonzero(kept))
