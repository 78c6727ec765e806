"""Turn a model's outputs into the detections of a tile: each object once, in px of the scene."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import shapely

from swath.detection.decode import detr, torchvision, yolo, yolo_masks
from swath.detection.detections import Detections
from swath.detection.nms import apply_nms, nms_assign
from swath.detection.overlap import BoxesOrPolygons
from swath.models.nms_options import Matching

if TYPE_CHECKING:
    from swath._types import Polygons
    from swath.detection.decode.candidates import Candidates
    from swath.models.output_spec import Answer, HeadName
    from swath.models.runtimes.base import Outputs
    from swath.raster.tiles import Tile

_READ: dict[HeadName, Callable[[Outputs, Answer, int], Candidates]] = {
    "rows": yolo.read,
    "objectness": yolo.read,
    "labelled": yolo.read,
    "detr": detr.read,
    "torchvision": torchvision.read,
    "prototypes": yolo_masks.read,
}
_TRACE: dict[HeadName, Callable[[Outputs, Answer, int, Candidates], Polygons]] = {
    "torchvision": torchvision.trace,
    "prototypes": yolo_masks.trace,
}
_SETTLED = Matching(strategy="none")
_COLLECTION = shapely.GeometryType.GEOMETRYCOLLECTION


def detections_of(outputs: Outputs, answer: Answer, tile: Tile) -> Detections:
    """Return the detections of a tile, in px of the scene, clipped to the tile's window.

    Args:
        outputs: Outputs of the model for this tile, without the batch axis.
        answer: Description of the outputs in the package.
        tile: Tile of the grid.

    Raises:
        ModelOutputError: The outputs differ from the package's description, or hold NaN.
    """
    found = _READ[answer.head](outputs, answer, tile.size)
    if not len(found.score):
        return Detections.empty()
    matching = answer.matching
    if answer.task == "instance-segmentation":
        if matching.strategy == "nms":
            # Tracing is expensive. NMS by boxes decides first which instances remain, as in models.
            found, matching = _best(found, matching), _SETTLED
        found = _traced(found, outputs, answer, tile.size)
    box, score, label, outline = apply_nms(
        found.box,
        found.score,
        found.label,
        matching,
        outline=found.outline,
        is_oriented=answer.task == "oriented-detection",
        score_threshold=answer.score_threshold,
    )
    return _placed(Detections.of_tile(box, score, label, tile.index, outline), tile)


def _best(found: Candidates, matching: Matching) -> Candidates:
    """Return the candidates that NMS by boxes keeps, best first."""
    found = found.take(np.argsort(-found.score, kind="stable"))
    of = nms_assign(BoxesOrPolygons(found.box), found.label, matching.metric, matching.threshold)
    return found.take(np.flatnonzero(of == np.arange(len(of))))


def _traced(found: Candidates, outputs: Outputs, answer: Answer, size: int) -> Candidates:
    """Return instances with their outlines; instances without a pixel are dropped."""
    outline = _TRACE[answer.head](outputs, answer, size, found)
    seen = np.flatnonzero(~shapely.is_missing(outline))
    return found.take(seen).outlined(outline[seen])


def _placed(seen: Detections, tile: Tile) -> Detections:
    """Return a tile's detections in px of the scene; those centered in the padding are dropped."""
    x, y, width, height = tile.window
    shift = np.array([tile.x, tile.y])
    low, high = np.array([x, y]), np.array([x + width, y + height])
    start, end = seen.box[:, :2] + shift, seen.box[:, 2:] + shift
    centre = (start + end) / 2
    inside = ((centre >= low) & (centre <= high)).all(axis=1)
    box = np.concatenate([np.maximum(start, low), np.minimum(end, high)], axis=1)
    if seen.outline is None:
        return Detections.of_tile(box, seen.score, seen.label, tile.index).take(inside)
    outline = shapely.transform(seen.outline, lambda points: points + shift)
    beyond = inside & ((start < low) | (end > high)).any(axis=1)
    outline[beyond] = _clipped(outline[beyond], tile)
    box[beyond] = shapely.bounds(outline[beyond])
    inside &= shapely.area(outline) > 0
    return Detections.of_tile(box, seen.score, seen.label, tile.index, outline).take(inside)


def _clipped(outline: Polygons, tile: Tile) -> Polygons:
    """Return the areas of outlines within a tile's window, as Polygons or MultiPolygons."""
    x, y, width, height = tile.window
    window = shapely.box(x, y, x + width, y + height)
    clipped: Polygons = shapely.intersection(outline, window)
    # A polygon that also touches the window from outside leaves a line or a point in the result.
    for place in np.flatnonzero(shapely.get_type_id(clipped) == _COLLECTION):
        parts = shapely.get_parts(clipped[place])
        clipped[place] = shapely.union_all(parts[shapely.area(parts) > 0])
    return clipped
