"""Generate random fields that resemble nature: smooth at one scale, or rough at many."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.floating]
"""Field (rows, cols), usually float32."""


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: tuple[float, float]
) -> Field:
    """Return a field of zero mean and unit variance, which varies over `cell` (rows, cols) px."""
    grid = [math.ceil(size / step) + 4 for size, step in zip(shape, cell, strict=True)]
    values = rng.standard_normal(grid, dtype=np.float32)
    down, across = (_spline_weights(n, g, c) for n, g, c in zip(shape, grid, cell, strict=True))
    field = down @ values @ across.T
    return _standardize(field)


def fractal_noise(
    rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int
) -> Field:
    """Return a fractal field of unit variance: each octave is half as wide and half as strong."""
    field = np.zeros(shape, np.float32)
    for octave in range(octaves):
        step = cell / 2**octave
        field += smooth_noise(rng, shape, (step, step)) / 2**octave
    return _standardize(field)


def smoothstep(field: Field, low: float, high: float) -> Field:
    """Return a smooth transition from 0 at `low` to 1 at `high`."""
    t: Field = np.clip((field - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def blur(bands: NDArray[np.floating]) -> NDArray[np.floating]:
    """Blur (bands, rows, cols) as a lens does: weights 1/4, 1/2, 1/4, along rows and columns."""
    for axis in (1, 2):
        padding = [(0, 0)] * 3
        padding[axis] = (1, 1)
        wide = np.moveaxis(np.pad(bands, padding, mode="edge"), axis, -1)
        bands = np.moveaxis((wide[..., :-2] + 2 * wide[..., 1:-1] + wide[..., 2:]) / 4, -1, axis)
    return bands


def _standardize(field: Field) -> Field:
    sample = field[::4, ::4]
    normal: Field = (field - sample.mean()) / sample.std()
    return normal


def _spline_weights(size: int, grid: int, cell: float) -> Field:
    """Return weights (size, grid) of a cubic B-spline with knots `cell` px apart: four per row."""
    knot, t = np.divmod(np.arange(size, dtype=np.float32) / cell, 1)
    parts = (1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3
    weights = np.zeros((size, grid), np.float32)
    for offset, part in enumerate(parts):
        weights[np.arange(size), knot.astype(np.intp) + offset] = part / 6
    return weights
