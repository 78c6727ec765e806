"""What a model is for: how its answer for a tile is read, and how neighbours' are joined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swath.detection.decode import classification, semantic
from swath.detection.detections import Detections, Seen
from swath.detection.postprocess import detections_of
from swath.detection.segmentation.polygonize import segments_of
from swath.detection.segmentation.stitch_segments import SegmentSeams
from swath.detection.stitching.stitcher import Seams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.output_spec import Answer
    from swath.models.runtimes.base import Outputs
    from swath.raster.tiles import Grid, Tile

from swath._types import TilePredicate


class Task(Protocol):
    """One kind of answer, over one grid of tiles."""

    def detect(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> Seen:
        """Read a model's answer for one tile.

        Args:
            outputs: of this tile, without the batch axis.
            tile: the tile.
            valid: (rows, cols) of the tile's window, True = valid; None where all is.

        Raises:
            ModelOutputError: the answer is not what the package promises, or holds NaN.
        """

    def sort_out(self, seen: Detections) -> Detections:
        """Of what tiles saw, what is theirs to report, flagged where neighbours have a say."""

    def settle_inside(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Settle those that no tile outside has a say in; returns these, and those still flagged.

        Settling some shards first, in any partition, and then the rest gives what `settle` gives.
        """

    def settle(self, flagged: Detections) -> Detections:
        """Join the parts and decide the doubtful, of the flagged detections of all tiles."""


def task_of(answer: Answer, grid: Grid) -> Task:
    """Return the task that a package describes, over the tiles of a scene."""
    if answer.task == "segmentation":
        return _Segments(answer, SegmentSeams(grid, answer.min_area))
    if answer.task == "classification":
        return _Classes(answer)
    oriented = answer.task == "oriented-detection"
    return _Objects(answer, Seams(grid, answer.matching, oriented))


@dataclass(frozen=True, slots=True)
class _Seamed:
    """What tiles see more than once, or only in part: its seams settle it."""

    answer: Answer
    seams: Seams | SegmentSeams

    def sort_out(self, seen: Detections) -> Detections:
        """Of what tiles saw, what is theirs to report."""
        return self.seams.sort_out(seen)

    def settle_inside(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """Settle those that no tile outside has a say in."""
        return self.seams.settle_inside(flagged, inside)

    def settle(self, flagged: Detections) -> Detections:
        """Join the parts and decide the doubtful."""
        return self.seams.settle(flagged)


class _Objects(_Seamed):
    """Boxes, oriented boxes and instances: each object once, though tiles see it twice."""

    __slots__ = ()

    def detect(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> Seen:
        """The objects that a tile saw, clipped to what it saw of them."""
        del valid
        return Seen(detections_of(outputs, self.answer, tile))


class _Segments(_Seamed):
    """Regions of pixels: each tile's core has its own, and seams join them."""

    __slots__ = ()

    def detect(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> Seen:
        """The regions of a tile's core, and its labels where a mask is asked for."""
        labels, probability = semantic.read(outputs, self.answer, tile.size)
        seen = segments_of(
            labels,
            probability,
            tile,
            valid=valid,
            threshold=self.answer.score_threshold,
            background=() if self.answer.background is None else (self.answer.background,),
        )
        return seen if self.answer.mask else Seen(seen.detections)


@dataclass(frozen=True, slots=True)
class _Classes:
    """A class a tile, for its core: cores partition the scene, so there is nothing to settle."""

    answer: Answer

    def detect(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> Seen:
        """The tile's core, if its class counts and it has a valid pixel."""
        label, score = classification.read(outputs, self.answer)
        x0, y0, x1, y1 = tile.core
        core = np.s_[y0 - tile.y : y1 - tile.y, x0 - tile.x : x1 - tile.x]
        known = valid is None or valid[core].any()
        if not known or score < self.answer.score_threshold or label == self.answer.background:
            return Seen(Detections.empty())
        box = np.array([tile.core], np.float64)
        scores, labels = np.array([score], np.float32), np.array([label], np.int16)
        return Seen(Detections.of_tile(box, scores, labels, tile.index))

    def sort_out(self, seen: Detections) -> Detections:
        """All of it."""
        return seen

    def settle_inside(
        self, flagged: Detections, inside: TilePredicate
    ) -> tuple[Detections, Detections]:
        """All of it: nothing is flagged."""
        del inside
        return flagged, Detections.empty()

    def settle(self, flagged: Detections) -> Detections:
        """All of it: nothing is flagged."""
        return flagged
