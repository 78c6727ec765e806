"""What a model is for: how its answer for a tile is read, and how neighbours' are joined."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swath.decode import decode
from swath.detections import Detections, Seen
from swath.errors import ModelOutputError
from swath.merge import Seams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.mlm import ModelDescription
    from swath.runtime import Outputs
    from swath.tiles import Grid, Ints, Tile

Inside = Callable[["Ints"], "NDArray[np.bool_]"]
"""Which of the tiles of these numbers a shard holds."""


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

    def settle_inside(self, flagged: Detections, inside: Inside) -> tuple[Detections, Detections]:
        """Settle those that no tile outside has a say in; returns these, and those still flagged.

        Settling some shards first, in any partition, and then the rest gives what `settle` gives.
        """

    def settle(self, flagged: Detections) -> Detections:
        """Join the parts and decide the doubtful, of the flagged detections of all tiles."""


def task_of(description: ModelDescription, grid: Grid) -> Task:
    """The task that a package describes, over the tiles of a scene."""
    return _Detection(description, Seams(grid))


@dataclass(frozen=True, slots=True)
class _Detection:
    """Objects, each a box."""

    description: ModelDescription
    seams: Seams

    def detect(self, outputs: Outputs, tile: Tile, valid: NDArray[np.bool_] | None) -> Seen:
        """The boxes, clipped to what the tile saw."""
        del valid
        if not outputs:
            raise ModelOutputError("the model returned nothing")
        box, score, label = decode(outputs[0], self.description)
        x, y, width, height = tile.window
        low, high = np.array([x, y]), np.array([x + width, y + height])
        corner = np.array([tile.x, tile.y])
        start, end = box[:, :2] + corner, box[:, 2:] + corner
        centre = (start + end) / 2
        inside = ((centre >= low) & (centre <= high)).all(axis=1)
        clipped = np.concatenate([np.maximum(start, low), np.minimum(end, high)], axis=1)
        return Seen(Detections.of_tile(clipped, score, label, tile.index).take(inside))

    def sort_out(self, seen: Detections) -> Detections:
        """Of what tiles saw, what is theirs to report."""
        return self.seams.sort_out(seen)

    def settle_inside(self, flagged: Detections, inside: Inside) -> tuple[Detections, Detections]:
        """Settle those that no tile outside has a say in."""
        del inside
        return Detections.empty(), flagged

    def settle(self, flagged: Detections) -> Detections:
        """Join the parts and decide the doubtful."""
        return self.seams.settle(flagged, iou_threshold=self.description.iou_threshold)
