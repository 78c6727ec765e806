"""Position and draw the ships of the synthetic scene."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from local_cloud.demo.coast import Bands, Coast, Port, Spectrum
from local_cloud.demo.noise import Field

HULL_SPECTRA: tuple[Spectrum, ...] = (
    (0.26, 0.28, 0.29, 0.30, 0.22),
    (0.12, 0.13, 0.27, 0.30, 0.24),
    (0.17, 0.19, 0.21, 0.23, 0.19),
    (0.21, 0.23, 0.25, 0.25, 0.18),
)
BRIDGE: Spectrum = (0.36, 0.38, 0.39, 0.40, 0.28)
FOAM: Spectrum = (0.11, 0.12, 0.10, 0.08, 0.03)


@dataclass(frozen=True, slots=True)
class Ship:
    """Ship with sizes in px; `heading` in radians from the x axis, clockwise."""

    x: float
    y: float
    length: float
    beam: float
    heading: float
    hull: Spectrum
    wake: float = 0.0
    """Strength of the foam behind the ship, 0 to 1; 0 if it lies still."""

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Bounds (x0, y0, x1, y1) of the hull in px."""
        cos, sin = abs(math.cos(self.heading)), abs(math.sin(self.heading))
        half_width = (self.length * cos + self.beam * sin) / 2
        half_height = (self.length * sin + self.beam * cos) / 2
        return (
            self.x - half_width,
            self.y - half_height,
            self.x + half_width,
            self.y + half_height,
        )


def moor_fleet(rng: np.random.Generator, coast: Coast, port: Port, count: int) -> list[Ship]:
    """Return ships at the piers, at anchor and sailing, clear of each other and of the shore."""
    ships = _moor_at_piers(rng, port)
    rows, cols = coast.clearance.shape
    wind = rng.uniform(0, math.tau)
    while len(ships) < count:
        moving = rng.random() < 0.4  # noqa: PLR2004
        length = float(np.clip(rng.lognormal(2.75, 0.45), 7, 34))
        ship = Ship(
            x=rng.uniform(40, cols - 40),
            y=rng.uniform(40, rows - 40),
            length=length,
            beam=max(2.6, length / rng.uniform(5.0, 6.5)),
            heading=rng.uniform(0, math.tau) if moving else rng.normal(wind, 0.12),
            hull=HULL_SPECTRA[rng.integers(len(HULL_SPECTRA))],
            wake=rng.uniform(0.4, 1.0) if moving else 0.0,
        )
        if _is_afloat(ship, coast.clearance) and all(_are_apart(ship, other) for other in ships):
            ships.append(ship)
    return ships


def draw_ship(bands: Bands, ship: Ship) -> None:
    """Draw one ship and its wake into the bands, in place."""
    reach = ship.length * (2.6 if ship.wake else 0.6) + 4
    window = np.s_[
        max(int(ship.y - reach), 0) : int(ship.y + reach),
        max(int(ship.x - reach), 0) : int(ship.x + reach),
    ]
    rows, cols = (
        np.arange(part.start, part.stop, dtype=np.float32)[: size - part.start]
        for part, size in zip(window, bands.shape[1:], strict=True)
    )
    dx, dy = cols[None, :] + 0.5 - ship.x, rows[:, None] + 0.5 - ship.y
    cos, sin = math.cos(ship.heading), math.sin(ship.heading)
    along, across = dx * cos + dy * sin, dy * cos - dx * sin
    part = bands[:, *window]
    _blend(part, FOAM, _wake_share(ship, along, across))
    _blend(part, ship.hull, _hull_share(ship, along, across))
    _blend(part, BRIDGE, _bridge_share(ship, along, across))


def _moor_at_piers(rng: np.random.Generator, port: Port) -> list[Ship]:
    """Return two ships for each pier, one on either side, a little off its wall."""
    ships = []
    for start in port.piers:
        for side in (-1, 1):
            length = rng.uniform(15, 30)
            beam = length / 5.5
            wall = start + (port.pier_width if side > 0 else 0)
            x, y = port.to_scene(wall + side * (beam / 2 + 1.5), rng.uniform(50, 130))
            hull = HULL_SPECTRA[rng.integers(len(HULL_SPECTRA))]
            ships.append(Ship(x, y, length, beam, port.angle + math.pi / 2, hull))
    return ships


def _is_afloat(ship: Ship, clearance: Field) -> bool:
    return bool(clearance[int(ship.y), int(ship.x)] > ship.length + 8)


def _are_apart(ship: Ship, other: Ship) -> bool:
    return math.hypot(ship.x - other.x, ship.y - other.y) > 1.5 * (ship.length + other.length)


def _hull_share(ship: Ship, along: Field, across: Field) -> Field:
    """Return the share of each pixel that the hull covers: square stern, pointed bow."""
    half = ship.length / 2
    taper = np.clip((half - along) / (0.25 * ship.length), 0, 1) ** 0.6
    sides = np.clip(ship.beam / 2 * taper - np.abs(across) + 0.5, 0, 1)
    ends = np.clip(half - np.abs(along) + 0.5, 0, 1)
    covered: Field = sides * ends
    return covered


def _bridge_share(ship: Ship, along: Field, across: Field) -> Field:
    """Return the share of white superstructure near the stern, and of hatches on the deck."""
    astern = np.clip(0.09 * ship.length - np.abs(along + 0.34 * ship.length) + 0.5, 0, 1)
    hatches = 0.25 * (np.cos(along * math.tau / 5) > 0) * (np.abs(along) < 0.4 * ship.length)
    deck = np.clip(0.4 * ship.beam - np.abs(across) + 0.5, 0, 1)
    covered: Field = np.maximum(astern, hatches) * deck
    return covered


def _wake_share(ship: Ship, along: Field, across: Field) -> Field:
    """Return the share of foam astern, which widens and fades."""
    behind = np.clip(-along - ship.length / 2, 0, None)
    width = 0.35 * ship.beam + 0.06 * behind
    shape = np.exp(-((across / width) ** 2)) * np.exp(-behind / (0.7 * ship.length))
    covered: Field = ship.wake * 0.7 * shape * (behind > 0)
    return covered


def _blend(part: Bands, spectrum: Spectrum, share: Field) -> None:
    color = np.asarray(spectrum, np.float32)[:, None, None]
    part += (color - part) * share
