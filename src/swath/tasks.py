"""What a model is for: how its answer for a tile is read, and how neighbours' answers are joined."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import numpy as np

from swath.detections import Detections, Seen

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.runtime import Outputs
    from swath.tiles import Ints, Tile

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
