"""Emulate a GPU, which takes time for each tile but no CPU time of the host."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.models.network import BOX_SIZE, STRIDE, cell_centers
from benchmarks.models.package import DETECTIONS_PER_TILE, TILE_SIZE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.messages import Engine
    from swath.models.runtimes.base import Outputs

_OUTPUT_COUNT = 16


class EmulatedDevice:
    """Takes batches one after the other, `seconds_per_tile` for each tile, without the CPU.

    Each batch takes `seconds_per_call` more, as a GPU needs time to launch its kernels.
    """

    engine: Engine | None = None

    def __init__(
        self,
        seconds_per_tile: float,
        *,
        seconds_per_call: float = 0,
        batch_size: int = 8,
        workers: int = 3,
    ) -> None:
        self.seconds_per_tile = seconds_per_tile
        self.seconds_per_call = seconds_per_call
        self.batch_size = batch_size
        self.workers = workers
        self.busy_seconds = 0.0
        """Total computing time in s."""
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._outputs = make_outputs()
        self._output_index = 0

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Return prepared outputs at the time at which the device would have them."""
        duration = self.seconds_per_call + self.seconds_per_tile * len(tiles)
        with self._lock:
            start = max(time.perf_counter(), self._free_at)
            end = self._free_at = start + duration
            self.busy_seconds += duration
            first = self._output_index
            self._output_index += len(tiles)
        time.sleep(max(0.0, end - time.perf_counter()))
        return [(self._outputs[(first + index) % _OUTPUT_COUNT],) for index in range(len(tiles))]

    def shrink(self) -> bool:
        """Return False: the batch cannot shrink, since this model never runs out of memory."""
        return False


def make_outputs(side: int = TILE_SIZE) -> NDArray[np.float32]:
    """Return outputs like those of `benchmarks.models` for 16 tiles, (16, 5, candidates)."""
    rng = np.random.default_rng(0)
    centers = cell_centers(side)[0]
    outputs = np.empty((_OUTPUT_COUNT, 5, centers.shape[1]), np.float32)
    outputs[:, :2] = centers + rng.uniform(-STRIDE / 2, STRIDE / 2, outputs[:, :2].shape)
    outputs[:, 2:4] = BOX_SIZE * np.exp(rng.normal(0, 0.3, outputs[:, 2:4].shape).clip(-1, 1))
    outputs[:, 4] = 0
    for output in outputs:
        chosen = rng.choice(centers.shape[1], 8 * DETECTIONS_PER_TILE, replace=False)
        output[4, chosen] = rng.uniform(0, 0.5, len(chosen))
        output[4, chosen[:DETECTIONS_PER_TILE]] = rng.uniform(0.5, 1, DETECTIONS_PER_TILE)
    return outputs
