"""Drawn landscapes that compress as real imagery does, made band by band.

What a block costs to decode depends on what is in it, so flat or random pixels would measure
nothing. These have what aerial scenes have: power that falls with frequency (noise in octaves),
fields, roads, buildings with shadows in clusters, and the sensor's own noise. Deflate with
predictor 2 makes 1/1.9 of RGB and 1/1.6 of 16-bit bands; of the real scenes that were looked at
(aerial RGB, Sentinel-2) it makes 1/1.3 to 1/1.9.

Any rows can be drawn alone, and are the same however the scene is cut: everything follows from a
seed and a place.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Kind = Literal["rgb8", "ms16"]
Floats = NDArray[np.float32]

BAND = 512
"""Rows that are drawn at once, and the side of the cells that objects are scattered over."""
_OCTAVES = (2048, 1024, 512, 256, 128, 64, 32, 16, 8, 4, 2)
"""px from knot to knot."""
_SLOPE = 0.62
"""How an octave's strength grows with its length."""
_REACH = 320.0
"""px; no object reaches further from its centre."""


@dataclass(frozen=True, slots=True)
class Look:
    """How a landscape becomes a sensor's numbers."""

    dtype: str
    bands: int
    dark: float
    """The number of the mean, before each band's own."""
    contrast: float
    """Numbers to one standard deviation of the ground."""
    objects: float
    """Numbers to one step of an object's brightness."""
    noise: float
    highest: int


LOOKS: dict[Kind, Look] = {
    "rgb8": Look("uint8", 3, 105, 26, 1.0, 2.2, 255),
    "ms16": Look("uint16", 4, 700, 190, 5.5, 30.0, 4095),
}


@dataclass(frozen=True, slots=True)
class Landscape:
    """A drawn scene, `width` px wide and as high as one cares to draw."""

    kind: Kind
    width: int
    seed: int = 1

    def bands(self, height: int) -> Iterator[NDArray[Any]]:
        """Yield the scene from the top, in pieces (rows, cols, bands) of `BAND` rows."""
        for number in range(-(-height // BAND)):
            yield self.draw(number)[: height - number * BAND]

    def draw(self, number: int) -> NDArray[Any]:
        """Return the `number`-th `BAND` rows, (rows, cols, bands)."""
        look = LOOKS[self.kind]
        columns = -(-self.width // BAND)
        ground = _ground(number, columns, self.seed)
        objects = _objects(number, columns, self.seed)
        rng = np.random.default_rng([self.seed, 3, number])
        out = np.empty((BAND, self.width, look.bands), look.dtype)
        for band in range(look.bands):
            numbers = ground[:, : self.width] * (look.contrast * (1 + band / 8))
            numbers += objects[:, : self.width] * (look.objects * (1 - band / 12))
            numbers += look.dark * (1 + band / 16)
            numbers += look.noise * rng.standard_normal(numbers.shape, dtype=np.float32)
            out[..., band] = np.clip(numbers, 1, look.highest)
        return out


def _ground(number: int, columns: int, seed: int) -> Floats:
    """Noise in octaves, (rows, cols), of about unit variance."""
    total = np.zeros((BAND, columns * BAND), np.float32)
    for step in _OCTAVES:
        strength = np.float32((step / _OCTAVES[0]) ** _SLOPE)
        total += strength * _octave(number * BAND, total.shape[1], step, seed)
    return total


def _octave(top: int, width: int, step: int, seed: int) -> Floats:
    """Knots of random height every `step` px, joined smoothly; `BAND` rows from `top` on."""
    rows = top + np.arange(BAND)
    first, last = top // step, (top + BAND - 1) // step + 1
    knots = np.stack(
        [
            np.random.default_rng([seed, 1, step, row]).standard_normal(
                width // step + 2, dtype=np.float32
            )
            for row in range(first, last + 1)
        ]
    )
    share = _smooth(rows % step, step)[:, None]
    above = rows // step - first
    along = knots[above] * (1 - share) + knots[above + 1] * share
    share = _smooth(np.arange(step), step)
    joined = along[:, :-1, None] * (1 - share) + along[:, 1:, None] * share
    wide: Floats = joined.reshape(BAND, -1)[:, :width]
    return wide


def _smooth(place: NDArray[np.int64], step: int) -> Floats:
    """From 0 to 1 over a step, flat at both ends."""
    share = (place / step).astype(np.float32)
    return share * share * (3 - 2 * share)


def _objects(number: int, columns: int, seed: int) -> Floats:
    """Fields, roads and buildings, as steps of brightness, (rows, cols)."""
    canvas = np.zeros((BAND, columns * BAND), np.float32)
    for row in range(number - 1, number + 2):
        for column in range(-1, columns + 1):
            rng = np.random.default_rng([seed, 2, row + 1, column + 1])
            for rectangle in _scattered(rng):
                rectangle[:2] += (column * BAND, (row - number) * BAND)
                _paint(canvas, rectangle)
    return canvas


def _scattered(rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the objects of one cell: center x and y, half width and height, angle, brightness."""
    fields = _rectangles(rng, 5, (30, 210), (0, np.pi), (0, 20))
    roads = _rectangles(rng, 1, (3, 9), (0, np.pi), (24, 3))
    roads[:, 3] = _REACH
    count = rng.poisson(45)
    buildings = _rectangles(rng, count, (3, 22), (0, 0.1), (68, 20))
    village = rng.uniform(0, BAND, 2)
    near = rng.random(count) < 0.7  # noqa: PLR2004 (the share that stands in the village)
    buildings[near, :2] = village + rng.normal(0, 60, (int(near.sum()), 2))
    shadows = buildings.copy()
    shadows[:, :2] += 3
    shadows[:, 5] = -40
    return np.concatenate([fields, roads, shadows, buildings])


def _rectangles(
    rng: np.random.Generator,
    count: int,
    half: tuple[float, float],
    angle: tuple[float, float],
    bright: tuple[float, float],
) -> NDArray[np.float64]:
    return np.column_stack(
        [
            rng.uniform(0, BAND, (count, 2)),
            rng.uniform(*half, (count, 2)),
            rng.uniform(*angle, count),
            rng.normal(*bright, count),
        ]
    )


def _paint(canvas: Floats, rectangle: NDArray[np.float64]) -> None:
    """Fill a rectangle, over what is there."""
    x, y, half_width, half_height, angle, bright = rectangle
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
    canvas[top:bottom, left:right][inside] = bright
