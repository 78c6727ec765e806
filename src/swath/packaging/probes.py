"""Tiles that show what a network's numbers are: noise and shapes, in the ranges that networks take.

They hold no object that a network was trained on, so what it returns for them are its scores for
nothing, the spread of its boxes and the form of both.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NATURAL = 2
"""The first probes, from 0 to 1, are in the range of most networks; the further ones show how far
numbers can go, and no network's boxes."""
_BYTE = 255.0
_SHAPES = 24


def probe_tiles(shape: tuple[int, ...], *, seed: int = 0) -> Iterator[NDArray[np.float32]]:
    """Yield batches of tiles in the network's numbers.

    Noise from 0 to 1, bright shapes on dark ground, normal noise as after a z-score, and noise of
    8 bits.

    Args:
        shape: (batch, bands, rows, cols).
        seed: of the random numbers.
    """
    rng = np.random.default_rng(seed)
    yield rng.random(shape, np.float32)
    yield _shapes(shape, rng)
    yield rng.standard_normal(shape, np.float32)
    yield rng.random(shape, np.float32) * np.float32(_BYTE)


def _shapes(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw rectangles of many sizes and brightnesses, with a little noise."""
    tiles = rng.random(shape, np.float32) * np.float32(0.1)
    rows, cols = shape[2:]
    for _ in range(_SHAPES):
        y, x = int(rng.integers(rows)), int(rng.integers(cols))
        height, width = (1 + int(rng.integers(max(1, side // 4))) for side in (rows, cols))
        tiles[:, :, y : y + height, x : x + width] = rng.random((shape[1], 1, 1), np.float32)
    return tiles
