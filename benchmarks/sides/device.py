"""A stand-in for a GPU: it takes its time for each tile, and no host CPU."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.models.network import SIZE, STRIDE, centres
from benchmarks.models.package import DETECTIONS, TILE

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from swath.messages import Engine
    from swath.models.runtimes.base import Outputs

_ANSWERS = 16


class Device:
    """Takes batches one after the other, `seconds` for each tile, whatever waits for it.

    With `call_seconds`, each batch costs so much more: as a GPU's does, where kernels are launched.
    """

    engine: Engine | None = None

    def __init__(
        self, seconds: float, *, call_seconds: float = 0, batch_size: int = 8, workers: int = 3
    ) -> None:
        self.seconds = seconds
        self.call_seconds = call_seconds
        self.batch_size = batch_size
        self.workers = workers
        self.busy = 0.0
        """s that it has computed for."""
        self._free_at = 0.0
        self._lock = threading.Lock()
        self._answers = make_answers()
        self._given = 0

    def __call__(self, tiles: Sequence[NDArray[Any]]) -> list[Outputs]:
        """Canned answers, when the device would have them."""
        needed = self.call_seconds + self.seconds * len(tiles)
        with self._lock:
            begun = max(time.perf_counter(), self._free_at)
            done = self._free_at = begun + needed
            self.busy += needed
            first = self._given
            self._given += len(tiles)
        time.sleep(max(0.0, done - time.perf_counter()))
        return [(self._answers[(first + place) % _ANSWERS],) for place in range(len(tiles))]

    def shrink(self) -> bool:
        """Tell that the batch cannot shrink: this model never runs out of memory."""
        return False


def make_answers(side: int = TILE) -> NDArray[np.float32]:
    """Return outputs like those of `benchmarks.models` for 16 tiles, (16, 5, candidates)."""
    rng = np.random.default_rng(0)
    middles = centres(side)[0]
    answers = np.empty((_ANSWERS, 5, middles.shape[1]), np.float32)
    answers[:, :2] = middles + rng.uniform(-STRIDE / 2, STRIDE / 2, answers[:, :2].shape)
    answers[:, 2:4] = SIZE * np.exp(rng.normal(0, 0.3, answers[:, 2:4].shape).clip(-1, 1))
    answers[:, 4] = 0
    for answer in answers:
        chosen = rng.choice(middles.shape[1], 8 * DETECTIONS, replace=False)
        answer[4, chosen] = rng.uniform(0, 0.5, len(chosen))
        answer[4, chosen[:DETECTIONS]] = rng.uniform(0.5, 1, DETECTIONS)
    return answers
