"""Implement the tasks of models: decode the outputs for a tile, and join neighboring tiles."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swath.detection.decode import classification, semantic
from swath.detection.detections import Detections, TileResult
from swath.detection.postprocess import decode_detections
from swath.detection.segmentation.polygonize import polygonize_tile
from swath.detection.segmentation.stitch_segments import SegmentStitcher
from swath.detection.stitching.stitcher import Stitcher

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import OutputSpec
    from swath.models.runtimes.base import Outputs
    from swath.raster.tiles import Grid, Tile

from swath._types import TilePredicate


class Task(Protocol):
    """Task of a model, over one grid of tiles."""

    def decode(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> TileResult:
        """Decode a model's outputs for one tile.

        Args:
            outputs: Outputs for this tile, without the batch axis.
            tile: Tile of the grid.
            valid: (rows, cols) of the tile's window, True for valid pixels; None if all are valid.

        Raises:
            ModelOutputError: The outputs differ from the package's description, or hold NaN.
        """

    def keep_owned(self, detections: Detections) -> Detections:
        """Return the detections that their tiles report, flagged if they depend on neighbors.

        Args:
            detections: Detections of tiles, clipped to the windows or cores of the tiles.
        """

    def stitch_interior(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Stitch the flagged detections that depend on no tile outside.

        Stitching some shards first, in any partition, and then the rest gives the same result as
        `stitch`.

        Args:
            flagged: Detections of the tiles inside that `keep_owned` flagged.
            inside: Function that selects the tiles inside by their numbers.

        Returns:
            Stitched detections without flags, and detections that are still flagged.
        """

    def stitch(self, flagged: Detections) -> Detections:
        """Join truncated detections and resolve ambiguous ones, given those of all tiles.

        Args:
            flagged: Detections that `keep_owned` flagged, in any order.

        Returns:
            Each object once, without flags.
        """


def create_task(output_spec: OutputSpec, grid: Grid) -> Task:
    """Return the task that a package describes, for the tiles of a scene."""
    if output_spec.task == "segmentation":
        return _SemanticSegmentation(output_spec, SegmentStitcher(grid, output_spec.min_area))
    if output_spec.task == "classification":
        return _TileClassification(output_spec)
    is_oriented = output_spec.task == "oriented-detection"
    return _ObjectDetection(output_spec, Stitcher(grid, output_spec.matching, is_oriented))


@dataclass(frozen=True, slots=True)
class _StitchedTask:
    """Base of the tasks whose detections overlap or touch between tiles, and are stitched."""

    output_spec: OutputSpec
    stitcher: Stitcher | SegmentStitcher

    def keep_owned(self, detections: Detections) -> Detections:
        """Return the detections that their tiles report."""
        return self.stitcher.keep_owned(detections)

    def stitch_interior(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Stitch the flagged detections that depend on no tile outside."""
        return self.stitcher.stitch_interior(flagged, inside)

    def stitch(self, flagged: Detections) -> Detections:
        """Join truncated detections and resolve ambiguous ones."""
        return self.stitcher.stitch(flagged)


class _ObjectDetection(_StitchedTask):
    """Boxes, oriented boxes and instances: each object is reported once, not once per tile."""

    __slots__ = ()

    def decode(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> TileResult:
        """Return the detections of a tile, clipped to the tile's window."""
        del valid
        return TileResult(decode_detections(outputs, self.output_spec, tile))


class _SemanticSegmentation(_StitchedTask):
    """Regions of pixels: each tile's core has regions of its own, and stitching joins them."""

    __slots__ = ()

    def decode(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> TileResult:
        """Return the regions of a tile's core, and its labels if the package has a mask."""
        labels, probability = semantic.decode(outputs, self.output_spec, tile.size)
        result = polygonize_tile(
            labels,
            probability,
            tile,
            valid=valid,
            threshold=self.output_spec.score_threshold,
            background=()
            if self.output_spec.background is None
            else (self.output_spec.background,),
        )
        return result if self.output_spec.mask else TileResult(result.detections)


@dataclass(frozen=True, slots=True)
class _TileClassification:
    """One class for each tile's core: cores partition the scene, so nothing is stitched."""

    output_spec: OutputSpec

    def decode(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> TileResult:
        """Return the tile's core as a detection, unless it is background or has no valid pixel.

        A class below the score threshold is not reported either.
        """
        label, score = classification.decode(outputs, self.output_spec)
        x0, y0, x1, y1 = tile.core
        core = np.s_[y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x]
        known = valid is None or valid[core].any()
        if (
            not known
            or score < self.output_spec.score_threshold
            or label == self.output_spec.background
        ):
            return TileResult(Detections.empty())
        box = np.array([tile.core], np.float64)
        scores, labels = np.array([score], np.float32), np.array([label], np.int16)
        return TileResult(Detections.from_tile(box, scores, labels, tile.index))

    def keep_owned(self, detections: Detections) -> Detections:
        """Return all detections."""
        return detections

    def stitch_interior(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Return all detections as final, since none is flagged."""
        del inside
        return flagged, Detections.empty()

    def stitch(self, flagged: Detections) -> Detections:
        """Return all detections, since none is flagged."""
        return flagged
