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
from swath.models.nms_options import NmsOptions

if TYPE_CHECKING:
    from swath._types import Polygons
    from swath.detection.decode.candidates import Candidates
    from swath.models.output_spec import HeadName, OutputSpec
    from swath.models.runtimes.base import Outputs
    from swath.raster.tiles import Tile

_DECODERS: dict[HeadName, Callable[[Outputs, OutputSpec, int], Candidates]] = {
    "rows": yolo.decode,
    "objectness": yolo.decode,
    "labeled": yolo.decode,
    "detr": detr.decode,
    "torchvision": torchvision.decode,
    "prototypes": yolo_masks.decode,
}
_OUTLINE_TRACERS: dict[HeadName, Callable[[Outputs, OutputSpec, int, Candidates], Polygons]] = {
    "torchvision": torchvision.trace_outlines,
    "prototypes": yolo_masks.trace_outlines,
}
_NO_NMS = NmsOptions(strategy="none")
_COLLECTION = shapely.GeometryType.GEOMETRYCOLLECTION


def decode_detections(outputs: Outputs, output_spec: OutputSpec, tile: Tile) -> Detections:
    """Return the detections of a tile, in px of the scene, clipped to the tile's window.

    Args:
        outputs: Outputs of the model for this tile, without the batch axis.
        output_spec: Description of the outputs in the package.
        tile: Tile of the grid.

    Raises:
        ModelOutputError: The outputs differ from the package's description, or hold NaN.
    """
    candidates = _DECODERS[output_spec.head](outputs, output_spec, tile.size)
    if not len(candidates.score):
        return Detections.empty()
    matching = output_spec.matching
    if output_spec.task == "instance-segmentation":
        if matching.strategy == "nms":
            # Tracing is expensive. NMS by boxes decides first which instances remain, as in models.
            candidates, matching = _nms_by_boxes(candidates, matching), _NO_NMS
        candidates = _add_outlines(candidates, outputs, output_spec, tile.size)
    box, score, label, outline = apply_nms(
        candidates.box,
        candidates.score,
        candidates.label,
        matching,
        outline=candidates.outline,
        is_oriented=output_spec.task == "oriented-detection",
        score_threshold=output_spec.score_threshold,
    )
    return _to_scene(Detections.from_tile(box, score, label, tile.index, outline), tile)


def _nms_by_boxes(candidates: Candidates, matching: NmsOptions) -> Candidates:
    """Return the candidates that NMS by boxes keeps, best first."""
    candidates = candidates.take(np.argsort(-candidates.score, kind="stable"))
    leader = nms_assign(
        BoxesOrPolygons(candidates.box), candidates.label, matching.metric, matching.threshold
    )
    return candidates.take(np.flatnonzero(leader == np.arange(len(leader))))


def _add_outlines(
    candidates: Candidates, outputs: Outputs, output_spec: OutputSpec, size: int
) -> Candidates:
    """Return instances with their outlines; instances without a pixel are dropped."""
    outline = _OUTLINE_TRACERS[output_spec.head](outputs, output_spec, size, candidates)
    rows = np.flatnonzero(~shapely.is_missing(outline))
    return candidates.take(rows).with_outlines(outline[rows])


def _to_scene(detections: Detections, tile: Tile) -> Detections:
    """Return a tile's detections in px of the scene; those centered in the padding are dropped."""
    x, y, width, height = tile.window
    shift = np.array([tile.x, tile.y])
    low, high = np.array([x, y]), np.array([x + width, y + height])
    start, end = detections.box[:, :2] + shift, detections.box[:, 2:] + shift
    center = (start + end) / 2
    inside = ((center >= low) & (center <= high)).all(axis=1)
    box = np.concatenate([np.maximum(start, low), np.minimum(end, high)], axis=1)
    if detections.outline is None:
        return Detections.from_tile(box, detections.score, detections.label, tile.index).take(
            inside
        )
    outline = shapely.transform(detections.outline, lambda points: points + shift)
    beyond = inside & ((start < low) | (end > high)).any(axis=1)
    outline[beyond] = _clip(outline[beyond], tile)
    box[beyond] = shapely.bounds(outline[beyond])
    inside &= shapely.area(outline) > 0
    return Detections.from_tile(box, detections.score, detections.label, tile.index, outline).take(
        inside
    )


def _clip(outline: Polygons, tile: Tile) -> Polygons:
    """Return the areas of outlines within a tile's window, as Polygons or MultiPolygons."""
    x, y, width, height = tile.window
    window = shapely.box(x, y, x + width, y + height)
    clipped: Polygons = shapely.intersection(outline, window)
    # A polygon that also touches the window from outside leaves a line or a point in the result.
    for index in np.flatnonzero(shapely.get_type_id(clipped) == _COLLECTION):
        parts = shapely.get_parts(clipped[index])
        clipped[index] = shapely.union_all(parts[shapely.area(parts) > 0])
    return clipped
