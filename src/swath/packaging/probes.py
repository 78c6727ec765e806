"""Generate probe tiles, noise and shapes in the value ranges that networks accept.

The probes hold no object that a network was trained on. The outputs for them therefore show the
scores for background, the spread of the boxes and the form of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NATURAL = 2
"""Number of leading probes with values from 0 to 1, which suit most networks. The further probes
show how far numbers can go, but no network's typical boxes."""
_BYTE = 255.0
_SHAPES = 24


def probe_tiles(shape: tuple[int, ...], *, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Yield batches of float32 tiles, as the network receives them.

    The batches are, in order: noise from 0 to 1, bright shapes on dark ground, normally distributed
    noise as after a z-score, and noise of 8 bits from 0 to 255.

    Args:
        shape: Shape of each batch, (batch, bands, rows, cols).
        seed: Seed of the random numbers.
    """
    rng = np.random.default_rng(seed)
    yield rng.random(shape, np.float32)
    yield _shapes(shape, rng)
    yield rng.standard_normal(shape, np.float32)
    yield rng.random(shape, np.float32) * np.float32(_BYTE)


def _shapes(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw rectangles of many sizes and brightnesses on faint noise; return the batch of tiles."""
    tiles = rng.random(shape, np.float32) * np.float32(0.1)
    rows, cols = shape[2:]
    for _ in range(_SHAPES):
        y, x = int(rng.integers(rows)), int(rng.integers(cols))
        height, width = (1 + int(rng.integers(max(1, side // 4))) for side in (rows, cols))
        tiles[:, :, y : y + height, x : x + width] = rng.random((shape[1], 1, 1), np.float32)
    return tiles
