"""Choose the fastest batch size for a GPU by trying sizes when a model is loaded."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from swath.models.mlm import ModelDescription
    from swath.models.runtimes.base import Model

MAX_BATCH_SIZE = 64
"""Maximum batch size that is tried. Batches also need memory on the host before and after the
device computes them, and larger ones are hardly faster."""
_MIN_SPEEDUP = 1.05
"""Minimum speedup for a doubled batch size. With larger batches, a shard's last batch has more
unused slots."""


def best_batch_size(seconds: Callable[[int], float], suggested: int) -> int:
    """Return a batch size with the highest throughput, or close to it.

    The suggested size is doubled as long as that is faster. If it does not run, it is halved until
    a batch runs.

    Args:
        seconds: Function that returns the duration, above 0, of a batch of so many tiles. It
            raises whatever the model raises.
        suggested: Batch size that the package suggests.

    Returns:
        Number of tiles; 1 if not even one tile runs. The error then shows at a scene's tiles.
    """
    size = min(suggested, MAX_BATCH_SIZE)
    rate = _tiles_per_second(seconds, size)
    if not rate:
        while size > 1 and not rate:
            size //= 2
            rate = _tiles_per_second(seconds, size)
        return size
    while (
        2 * size <= MAX_BATCH_SIZE
        and (next_rate := _tiles_per_second(seconds, 2 * size)) > rate * _MIN_SPEEDUP
    ):
        size, rate = 2 * size, next_rate
    return size


def make_batch_timer(model: Model, description: ModelDescription) -> Callable[[int], float]:
    """Return a function that measures a model's seconds per batch, with black tiles."""
    tile = np.zeros((len(description.bands), *[description.tile_size] * 2), np.uint8)

    def seconds(tiles: int) -> float:
        batch = [tile] * tiles
        model(batch)  # warm-up: the library chooses and loads its kernels
        start = time.perf_counter()
        model(batch)
        model(batch)
        return (time.perf_counter() - start) / 2

    return seconds


def _tiles_per_second(seconds: Callable[[int], float], size: int) -> float:
    """Return the tiles per second; 0 if a batch of that size does not run."""
    try:
        return size / seconds(size)
    except Exception:  # noqa: BLE001 (out of memory, or exported with a maximum batch size)
        return 0.0
