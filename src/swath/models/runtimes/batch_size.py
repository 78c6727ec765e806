"""How many tiles a GPU is best given at once: tried when a model is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model

MOST = 64
"""Batches wait in the host's memory before and after the device; beyond this little is gained."""
_WORTH_IT = 1.05
"""How much faster the next size must be: the larger a batch, the emptier a shard's last one."""


def best_batch_size(seconds: Callable[[int], float], suggested: int) -> int:
    """The batch size at which tiles go through fastest, or nearly so.

    From the size suggested it is doubled while that pays, or halved until a batch goes through.

    Args:
        seconds: how long a batch of so many tiles takes, above 0; raises what the model raises.
        suggested: by the package.

    Returns:
        1 where not even one tile goes through: the tiles of a scene then tell why.
    """
    size = min(suggested, MOST)
    rate = _rate(seconds, size)
    if not rate:
        while size > 1 and not rate:
            size //= 2
            rate = _rate(seconds, size)
        return size
    while 2 * size <= MOST and (next_rate := _rate(seconds, 2 * size)) > rate * _WORTH_IT:
        size, rate = 2 * size, next_rate
    return size


def seconds_of(model: Model, description: ModelDescription) -> Callable[[int], float]:
    """Measures how long a model takes for batches of black tiles."""
    tile = np.zeros((len(description.bands), *[description.tile_size] * 2), np.uint8)

    def seconds(tiles: int) -> float:
        batch = [tile] * tiles
        model(batch)  # a library chooses and loads its kernels
        start = time.perf_counter()
        model(batch)
        model(batch)
        return (time.perf_counter() - start) / 2

    return seconds


def _rate(seconds: Callable[[int], float], size: int) -> float:
    """Tiles a second; 0 where a batch of that size does not go through."""
    try:
        return size / seconds(size)
    except Exception:  # noqa: BLE001 (out of memory, or exported for batches of up to some size)
        return 0.0
