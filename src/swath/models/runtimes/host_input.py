"""Scale tiles on the CPU, into one float32 array per thread."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from swath.models.scaling import scale_into, scaling_steps

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.models.mlm import ModelDescription
    from swath.models.scaling import Pixels


class HostInput:
    """Scales tiles into an array that each thread reuses."""

    def __init__(self, description: ModelDescription) -> None:
        self._steps = [scaling_steps(scaling) for scaling in description.scaling]
        self._shape = (len(description.bands), description.tile_size, description.tile_size)
        self._local = threading.local()

    def __call__(self, tiles: Sequence[NDArray[Any]], batch: int) -> Pixels:
        """Return a batch of scaled tiles.

        Args:
            tiles: Tiles, each (bands, size, size), in the scene's numbers.
            batch: Number of tiles in the batch; zeros follow the last tile.

        Returns:
            float32 (batch, bands, size, size), overwritten by this thread's next call.
        """
        stack = self._stack(batch)
        for slot, tile in zip(stack, tiles, strict=False):
            scale_into(slot, tile, self._steps)
        stack[len(tiles) :] = 0
        return stack

    def _stack(self, batch: int) -> Pixels:
        buffer: Pixels | None = getattr(self._local, "stack", None)
        if buffer is None or len(buffer) < batch:
            buffer = self._local.stack = np.empty((batch, *self._shape), np.float32)
        return buffer[:batch]
