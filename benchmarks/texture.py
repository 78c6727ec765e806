"""Draw landscapes that compress like real imagery, in bands of rows.

The decoding time of a block depends on its content, so flat or random pixels would measure nothing.
These landscapes have the features of aerial scenes: power that falls with frequency (noise in
octaves), fields, roads, clustered buildings with shadows, and sensor noise. Deflate with predictor
2 compresses RGB to 1/1.9 and 16-bit bands to 1/1.6. It compresses real scenes (aerial RGB,
Sentinel-2) to between 1/1.3 and 1/1.9.

Any rows can be drawn alone: the pixels depend only on a seed and a position.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["rgb8", "ms16"]
Floats = NDArray[np.float32]

BAND_ROWS = 512
"""Number of rows that are drawn at once, and side of the cells in which objects are drawn."""
_OCTAVE_STEPS = (2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2)
"""Distances in px between the knots of each octave."""
_AMPLITUDE_EXPONENT = 0.62
"""Exponent of an octave's amplitude as a function of its distance."""
_MAX_OBJECT_RADIUS = 320.0
"""Maximum distance in px of an object's edge from its center."""


@dataclass(frozen=True, slots=True)
class SensorProfile:
    """Conversion of a landscape to a sensor's values."""

    dtype: str
    bands: int
    dark: float
    """Value of the mean, before each band's factor."""
    contrast: float
    """Values per standard deviation of the ground."""
    objects: float
    """Values per step of an object's brightness."""
    noise: float
    highest: int


SENSORS: dict[Kind, SensorProfile] = {
    "rgb8": SensorProfile("uint8", 3, 105, 26, 1.0, 2.2, 255),
    "ms16": SensorProfile("uint16", 4, 700, 190, 5.5, 30.0, 4095),
}


@dataclass(frozen=True, slots=True)
class Landscape:
    """Drawn scene, `width` px wide and of any height."""

    kind: Kind
    width: int
    seed: int = 1

    def iter_bands(self, height: int) -> Iterator[NDArray[Any]]:
        """Yield the scene from the top, in pieces (rows, cols, bands) of `BAND_ROWS` rows."""
        for index in range(-(-height // BAND_ROWS)):
            yield self.draw_band(index)[: height - index * BAND_ROWS]

    def draw_band(self, index: int) -> NDArray[Any]:
        """Return the `index`-th `BAND_ROWS` rows, (rows, cols, bands)."""
        sensor = SENSORS[self.kind]
        columns = -(-self.width // BAND_ROWS)
        ground = _draw_ground(index, columns, self.seed)
        objects = _draw_objects(index, columns, self.seed)
        rng = np.random.default_rng([self.seed, 3, index])
        out = np.empty((BAND_ROWS, self.width, sensor.bands), sensor.dtype)
        for band in range(sensor.bands):
            numbers = ground[:, : self.width] * (sensor.contrast * (1 + band / 8))
            numbers += objects[:, : self.width] * (sensor.objects * (1 - band / 12))
            numbers += sensor.dark * (1 + band / 16)
            numbers += sensor.noise * rng.standard_normal(numbers.shape, dtype=np.float32)
            out[..., band] = np.clip(numbers, 1, sensor.highest)
        return out


def _draw_ground(index: int, columns: int, seed: int) -> Floats:
    """Return noise in octaves, (rows, cols), of about unit variance."""
    total = np.zeros((BAND_ROWS, columns * BAND_ROWS), np.float32)
    for step in _OCTAVE_STEPS:
        amplitude = np.float32((step / _OCTAVE_STEPS[0]) ** _AMPLITUDE_EXPONENT)
        total += amplitude * _draw_octave(index * BAND_ROWS, total.shape[1], step, seed)
    return total


def _draw_octave(top: int, width: int, step: int, seed: int) -> Floats:
    """Return smooth noise with a knot every `step` px: `BAND_ROWS` rows from `top` on."""
    rows = top + np.arange(BAND_ROWS)
    first, last = top // step, (top + BAND_ROWS - 1) // step + 1
    knots = np.stack(
        [
            np.random.default_rng([seed, 1, step, row]).standard_normal(
                width // step + 2, dtype=np.float32
            )
            for row in range(first, last + 1)
        ]
    )
    weight = _smoothstep(rows % step, step)[:, None]
    above = rows // step - first
    along = knots[above] * (1 - weight) + knots[above + 1] * weight
    weight = _smoothstep(np.arange(step), step)
    joined = along[:, :-1, None] * (1 - weight) + along[:, 1:, None] * weight
    wide: Floats = joined.reshape(BAND_ROWS, -1)[:, :width]
    return wide


def _smoothstep(offset: NDArray[np.int64], step: int) -> Floats:
    """Interpolate from 0 to 1 over a step, flat at both ends."""
    weight = (offset / step).astype(np.float32)
    return weight * weight * (3 - 2 * weight)


def _draw_objects(index: int, columns: int, seed: int) -> Floats:
    """Return fields, roads and buildings as steps of brightness, (rows, cols)."""
    canvas = np.zeros((BAND_ROWS, columns * BAND_ROWS), np.float32)
    for row in range(index - 1, index + 2):
        for column in range(-1, columns + 1):
            rng = np.random.default_rng([seed, 2, row + 1, column + 1])
            for rectangle in _random_objects(rng):
                rectangle[:2] += (column * BAND_ROWS, (row - index) * BAND_ROWS)
                _fill_rectangle(canvas, rectangle)
    return canvas


def _random_objects(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the objects of one cell: center x and y, half width and height, angle, brightness."""
    fields = _random_rectangles(rng, 5, (30, 210), (0, np.pi), (0, 20))
    roads = _random_rectangles(rng, 1, (3, 9), (0, np.pi), (24, 3))
    roads[:, 3] = _MAX_OBJECT_RADIUS
    count = rng.poisson(45)
    buildings = _random_rectangles(rng, count, (3, 22), (0, 0.1), (68, 20))
    village = rng.uniform(0, BAND_ROWS, 2)
    in_village = rng.random(count) < 0.7  # noqa: PLR2004 (the fraction in the village)
    buildings[in_village, :2] = village + rng.normal(0, 60, (int(in_village.sum()), 2))
    shadows = buildings.copy()
    shadows[:, :2] += 3
    shadows[:, 5] = -40
    return np.concatenate([fields, roads, shadows, buildings])


def _random_rectangles(
    rng: np.random.Generator,
    count: int,
    half_side: tuple[float, float],
    angle: tuple[float, float],
    brightness: tuple[float, float],
) -> NDArray[np.float64]:
    return np.column_stack(
        [
            rng.uniform(0, BAND_ROWS, (count, 2)),
            rng.uniform(*half_side, (count, 2)),
            rng.uniform(*angle, count),
            rng.normal(*brightness, count),
        ]
    )


def _fill_rectangle(canvas: Floats, rectangle: NDArray[np.float64]) -> None:
    """Fill a rectangle of the canvas in place."""
    x, y, half_width, half_height, angle, brightness = rectangle
    reach = np.hypot(half_width, half_height)
    left, right = max(0, int(x - reach)), min(canvas.shape[1], int(x + reach) + 2)
    top, bottom = max(0, int(y - reach)), min(canvas.shape[0], int(y + reach) + 2)
    if left >= right or top >= bottom:
        return
    across = np.arange(left, right) - x
    down = (np.arange(top, bottom) - y)[:, None]
    cos, sin = np.cos(angle), np.sin(angle)
    inside = abs(across * cos + down * sin) <= half_width
    inside &= abs(down * cos - across * sin) <= half_height
    canvas[top:bottom, left:right][inside] = brightness
