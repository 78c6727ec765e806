"""Draw water, land and port of the synthetic scene, as reflectances without ships.

The bands are always B02 B03 B04 B08 B11. The spectra are rounded values near the means of
Sentinel-2 scenes of real ports.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from local_cloud.demo.noise import Field, fractal_noise, smooth_noise, smoothstep

Spectrum = tuple[float, float, float, float, float]
Bands = NDArray[np.floating]
"""Reflectance (bands, rows, cols), 0 to 1."""

DEEP: Spectrum = (0.036, 0.032, 0.019, 0.013, 0.010)
SHALLOW: Spectrum = (0.046, 0.062, 0.036, 0.018, 0.012)
FOREST: Spectrum = (0.028, 0.046, 0.030, 0.240, 0.110)
MEADOW: Spectrum = (0.045, 0.075, 0.060, 0.300, 0.190)
SOIL: Spectrum = (0.085, 0.110, 0.140, 0.210, 0.270)
BEACH: Spectrum = (0.140, 0.180, 0.210, 0.260, 0.310)
ASPHALT: Spectrum = (0.085, 0.092, 0.098, 0.125, 0.140)
CONCRETE: Spectrum = (0.125, 0.138, 0.148, 0.175, 0.190)
ROCK: Spectrum = (0.095, 0.105, 0.112, 0.130, 0.135)
ROOFS: tuple[Spectrum, ...] = (
    (0.090, 0.105, 0.150, 0.200, 0.240),
    (0.110, 0.120, 0.130, 0.160, 0.190),
    (0.150, 0.160, 0.170, 0.200, 0.220),
    (0.070, 0.080, 0.085, 0.130, 0.150),
    (0.230, 0.240, 0.250, 0.270, 0.260),
    (0.040, 0.060, 0.050, 0.220, 0.130),
)


@dataclass(frozen=True, slots=True)
class Port:
    """Straight quay with piers, in its own frame in px: u along the quay, v out to sea."""

    x: float
    y: float
    angle: float
    """Angle from the x axis to the u axis in radians, clockwise as rows count downwards."""
    reach: float = 400.0
    """Half the length of the quay in px: it extends from u = -reach to u = reach."""
    piers: tuple[float, ...] = (-290.0, -125.0, 40.0, 205.0)
    """Start of each pier along the quay, as u in px."""
    pier_width: float = 44.0
    pier_length: float = 170.0

    def to_port(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Convert scene coordinates (x, y) in px to (u, v)."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return (x - self.x) * cos + (y - self.y) * sin, (y - self.y) * cos - (x - self.x) * sin

    def to_scene(self, u: float, v: float) -> tuple[float, float]:
        """Convert (u, v) to scene coordinates (x, y) in px."""
        cos, sin = math.cos(self.angle), math.sin(self.angle)
        return self.x + u * cos - v * sin, self.y + u * sin + v * cos


@dataclass(frozen=True, slots=True)
class Coast:
    """Scene without ships."""

    bands: Bands
    clearance: Field
    """Clearance (rows, cols): negative on land, and growing with the distance from the shore at
    sea."""


def draw_coast(rng: np.random.Generator, shape: tuple[int, int], port: Port) -> Coast:
    """Draw water, land, a town and a port.

    Args:
        rng: Random number generator.
        shape: Size of the scene, (rows, cols).
        port: Position of the port.

    Returns:
        The reflectances and the clearance.
    """
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    u, v = port.to_port(cols, rows)
    shore = v + 60 * smooth_noise(rng, shape, (230, 230)) + 10 * fractal_noise(rng, shape, 60, 4)
    basin = smoothstep(port.reach + 60 - np.abs(u), 0, 90) * smoothstep(330 - np.abs(v), 0, 90)
    shore = shore * (1 - basin) + v * basin
    quay, mole = _quay_distance(port, u, v), _mole_distance(port, u, v)
    bands = _draw_water(rng, shape, shore)
    # Land is at the top of the scene: nothing needs painting below its last row.
    top = np.s_[: np.flatnonzero((np.minimum(shore, -quay) < 1).any(axis=1)).max() + 1]
    land = bands[:, top]
    _blend(land, _draw_land(rng, shore[top], u[top], v[top]), smoothstep(-shore[top], -0.7, 0.7))
    _blend(land, _draw_apron(rng, u[top], v[top]), smoothstep(quay[top], -0.7, 0.7))
    _blend(bands, _uniform(ROCK), smoothstep(mole, -0.7, 0.7))
    return Coast(bands, np.minimum(shore, -np.maximum(quay, mole)))


def _quay_distance(port: Port, u: Field, v: Field) -> Field:
    """Return the distance into the quay and its piers in px; negative outside them."""
    edge: Field = np.minimum(np.minimum(port.reach - np.abs(u), -v), v + 70)
    for start in port.piers:
        middle = start + port.pier_width / 2
        across = port.pier_width / 2 - np.abs(u - middle)
        edge = np.maximum(edge, np.minimum(across, np.minimum(port.pier_length - v, v + 20)))
    return edge


def _mole_distance(port: Port, u: Field, v: Field) -> Field:
    """Return the distance into the two moles of the port in px; negative outside them."""
    reach = port.reach
    lines = [
        ((-reach - 20, -30), (-reach - 20, 190)),
        ((-reach - 20, 190), (-0.2 * reach, 300)),
        ((reach + 30, -30), (reach + 30, 200)),
        ((reach + 30, 200), (0.3 * reach, 290)),
    ]
    nearest: Field = np.minimum.reduce([_distance_to_segment(u, v, *line) for line in lines])
    return 2.2 - nearest


def _distance_to_segment(
    u: Field, v: Field, start: tuple[float, float], end: tuple[float, float]
) -> Field:
    """Return the distance to the line segment between two points in px."""
    du, dv = end[0] - start[0], end[1] - start[1]
    share = ((u - start[0]) * du + (v - start[1]) * dv) / (du * du + dv * dv)
    share = np.clip(share, 0, 1)
    return np.hypot(u - start[0] - share * du, v - start[1] - share * dv)


def _draw_water(rng: np.random.Generator, shape: tuple[int, int], shore: Field) -> Bands:
    """Draw shallows near the shore, long swells, and wind streaks with sun glint."""
    shallow = smoothstep(-shore, -160, 0) * 0.7 + 0.08 * fractal_noise(rng, shape, 300, 3)
    bands = _interpolate(DEEP, SHALLOW, np.clip(shallow, 0, 1))
    swell = smooth_noise(rng, shape, (2.2, 9))
    glint = np.exp(0.5 * fractal_noise(rng, shape, 350, 2) - 0.6)
    bands += (0.0016 * swell + 0.006 * glint).astype(np.float32)
    return bands


def _draw_land(rng: np.random.Generator, shore: Field, u: Field, v: Field) -> Bands:
    """Draw beach, woods, fields and, towards the port, a town."""
    shape = shore.shape
    bands = _interpolate(FOREST, MEADOW, smoothstep(fractal_noise(rng, shape, 110, 5), -0.3, 0.9))
    _blend(bands, _uniform(SOIL), smoothstep(fractal_noise(rng, shape, 140, 5), 0.7, 1.2))
    bands *= 1 + 0.08 * fractal_noise(rng, shape, 16, 4)
    town = np.exp(-((u / 560) ** 2) - ((v + 150) / 230) ** 2) + 0.2 * fractal_noise(
        rng, shape, 120, 5
    )
    _blend(bands, _draw_streets(rng, u, v), smoothstep(town, 0.42, 0.62))
    _blend(bands, _uniform(BEACH), smoothstep(shore, -7, -3))
    return bands


def _draw_streets(rng: np.random.Generator, u: Field, v: Field) -> Bands:
    """Draw blocks of houses and gardens, some greener than others, between streets."""
    houses = _draw_cells(rng, u, v, (3.0, 3.0), ROOFS)
    gardens = _draw_cells(rng, u, v, (33.0, 24.0), (MEADOW, FOREST, ROOFS[1], ROOFS[1], ROOFS[0]))
    _blend(houses, gardens, np.full_like(u, 0.5))
    street = (np.mod(u, 33) < 2) | (np.mod(v, 24) < 2)  # noqa: PLR2004 - pixels wide
    _blend(houses, _uniform(ASPHALT), street.astype(np.float32) * 0.7)
    return houses


def _draw_apron(rng: np.random.Generator, u: Field, v: Field) -> Bands:
    """Draw concrete with long sheds and stacks."""
    bands = np.broadcast_to(_uniform(CONCRETE), (5, *u.shape)).copy()
    stacks = _draw_cells(rng, u, v, (11.0, 26.0), ROOFS)
    inside = (np.mod(u, 11) > 3) & (np.mod(v, 26) > 4)  # noqa: PLR2004 - the lanes between them
    _blend(bands, stacks, inside.astype(np.float32) * 0.6)
    return bands


def _draw_cells(
    rng: np.random.Generator,
    u: Field,
    v: Field,
    size: tuple[float, float],
    spectra: tuple[Spectrum, ...],
) -> Bands:
    """Draw a grid of cells in (u, v), each with one of the spectra at a random brightness."""
    table = rng.integers(len(spectra), size=(64, 64))
    colors = np.asarray(spectra, np.float32)[table] * rng.uniform(0.8, 1.25, (64, 64, 1))
    column = np.mod(np.floor(u / size[0]), 64).astype(np.intp)
    row = np.mod(np.floor(v / size[1]), 64).astype(np.intp)
    return np.ascontiguousarray(colors.astype(np.float32).transpose(2, 0, 1)[:, row, column])


def _uniform(spectrum: Spectrum) -> Bands:
    return np.asarray(spectrum, np.float32)[:, None, None]


def _interpolate(low: Spectrum, high: Spectrum, share: Field) -> Bands:
    return _uniform(low) + (_uniform(high) - _uniform(low)) * share


def _blend(bands: Bands, overlay: Bands, share: Field) -> None:
    """Blend `overlay` into the bands in place; `share` is the covered share of each pixel."""
    bands += (overlay - bands) * share
