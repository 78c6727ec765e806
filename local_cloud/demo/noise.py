"""Random fields that look like nature: smooth at one scale, or rough at many."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.float32]
"""(rows, cols)."""


def smooth(rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float]) -> Field:
    """A field of zero mean and unit variance that varies over about `cell` (rows, cols) pixels."""
    grid = [math.ceil(size / step) + 3 for size, step in zip(shape, cell, strict=True)]
    values = rng.standard_normal(grid, dtype=np.float32)
    down, across = (_spline(n, g, c) for n, g, c in zip(shape, grid, cell, strict=True))
    field = down @ values @ across.T
    return (field - field.mean()) / field.std()


def rough(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int) -> Field:
    """A fractal field of unit variance: each octave is half as wide and half as strong."""
    field = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = cell / 2**octave
        field += smooth(rng, shape, (step, step)) / 2**octave
    return field / field.std()


def ramp(field: Field, low: float, high: float) -> Field:
    """0 below `low`, 1 above `high`, and without a kink between them."""
    t = np.clip((field - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def blur(bands: NDArray[np.float32]) -> NDArray[np.float32]:
    """What a lens does to (bands, rows, cols): a quarter of each neighbour, down and across."""
    for axis in (1, 2):
        padding = [(0, 0)] * 3
        padding[axis] = (1, 1)
        wide = np.moveaxis(np.pad(bands, padding, mode="edge"), axis, -1)
        bands = np.moveaxis((wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]) / 4, -1, axis)
    return bands


def _spline(size: int, grid: int, cell: float) -> Field:
    """Weights (size, grid) of a cubic B-spline with knots `cell` pixels apart."""
    place = np.arange(size) / cell + 1
    distance = np.abs(place[:, None] - np.arange(grid)[None, :])
    near = 2 / 3 - distance**2 + distance**3 / 2
    far = (2 - distance) ** 3 / 6
    return np.where(distance < 1, near, np.where(distance < 2, far, 0)).astype(np.float32)
