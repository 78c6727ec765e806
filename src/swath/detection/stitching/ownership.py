"""Decide along one axis which tiles own the detections, given the intervals that these cover.

A tile's position is its index along the axis: its column along x, its row along y.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from swath._types import Floats, Ints, Mask
from swath.raster.tiles import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Ownership of intervals that tiles detected along one axis, (n,) each."""

    keep: Mask
    """Whether the interval's tile reports it."""
    part: Mask
    """Whether no tile holds the interval: the object is longer than the overlap of neighbors."""
    unsure: Mask
    """Whether the interval is a part, or another tile may take it for a part."""
    doubtful: Mask
    """Whether the interval is no part, but another tile may decide differently."""
    held: Mask
    """Whether the interval keeps clear of the ends of its tile."""
    guest: Mask
    """Whether another tile owns the interval."""
    owner: Ints
    """Position of the tile that owns the interval; for a part, the tile that detected it."""
    open_low: Mask
    """Whether the tile before may have detected the same object, or more of it."""
    open_high: Mask
    """Whether the tile after may have detected the same object, or more of it."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Tiles at a regular stride along one axis; the last tile is moved back to the scene's end."""

    count: int
    """Number of tiles."""
    size: int
    """Tile size in px."""
    stride: int
    """Distance between the starts of neighboring tiles in px."""
    starts: Floats
    """(count,) starts of tiles in px; the first is -inf, as the scene's border clips nothing."""
    ends: Floats
    """(count,) ends of tiles in px; the last is +inf."""
    borders: Floats
    """(count + 1,) borders of cores in px, from -inf to +inf."""
    tolerance: float
    jitter: float

    @classmethod
    @lru_cache(maxsize=16)  # asked for at every batch of tiles
    def of(cls, grid: Grid, axis: int, *, tolerance: float, jitter: float) -> Self:
        """Return the tiles of a grid along x (axis 0) or y (axis 1)."""
        count, step = (grid.columns, 1) if axis == 0 else (grid.rows, grid.columns)
        tiles = np.arange(count) * step
        windows = grid.windows(tiles).astype(np.float64)
        starts, ends = windows[:, axis], windows[:, axis] + windows[:, axis + 2]
        starts[0], ends[-1] = -np.inf, np.inf
        inner = grid.cores(tiles)[1:, axis]
        borders = np.concatenate([[-np.inf], inner, [np.inf]])
        return cls(count, grid.size, grid.stride, starts, ends, borders, tolerance, jitter)

    def surely(self, low: Floats, high: Floats, place: Ints) -> Mask:
        """Return which intervals their tiles certainly own, (n,).

        This cheap test accepts nearly all intervals. The tile must hold the interval, and the core
        must hold its center, both by more than the tolerance and jitter can shift them.

        Args:
            low: (n,) low ends of intervals in px.
            high: (n,) high ends in px.
            place: (n,) position of each interval's tile.
        """
        clear, twice = self.tolerance + self.jitter, low + high
        mine: Mask = low > (self.starts + clear)[place]
        mine &= high < (self.ends - clear)[place]
        mine &= twice >= (2 * (self.borders + self.jitter))[place]
        mine &= twice < (2 * (self.borders - self.jitter))[place + 1]
        return mine

    def ask(self, low: Floats, high: Floats, place: Ints) -> Answer:
        """Decide which tiles own and report intervals.

        Args:
            low: (n,) low ends of intervals in px.
            high: (n,) high ends in px.
            place: (n,) position of each interval's tile.
        """
        shift = np.array([[-self.jitter], [0.0], [self.jitter]])
        first, last = self._first(high + shift), self._last(low + shift)
        # The tile whose core holds the center, or the nearest tile that holds the interval.
        least, owner, most = np.minimum(
            np.maximum(self._core((low + high) / 2 + shift), first), last
        )
        part, clear = first[1] > last[1], self.tolerance + self.jitter
        unsure = first[2] > last[0]
        doubtful = ~part & (unsure | (least < most))
        return Answer(
            keep=unsure | ((least <= place) & (place <= most)),
            part=part,
            unsure=unsure,
            doubtful=doubtful,
            held=(first[1] <= place) & (place <= last[1]),
            guest=~part & (owner != place),
            owner=np.where(part, place, owner).astype(np.int64),
            open_low=doubtful | (low - clear <= self.starts[place]),
            open_high=doubtful | (high + clear >= self.ends[place]),
        )

    def reach(self, low: Floats, high: Floats) -> tuple[Ints, Ints]:
        """Return the first and last position of tiles that intervals touch, (n,) each.

        Args:
            low: (n,) low ends of intervals in px; the end is part of the interval.
            high: (n,) high ends in px; the end is part of the interval.
        """
        first = np.searchsorted(self.ends, low, side="left")
        last = np.searchsorted(self.starts, high, side="right") - 1
        return first, last

    # The next three methods search ends, starts and borders by arithmetic with the stride.

    def _first(self, high: Floats) -> Floats:
        """Return the first tile that ends after the high side, which may be clipped, (n,)."""
        place = np.floor((high + (self.tolerance - self.size)) / self.stride) + 1
        first: Floats = np.minimum(np.maximum(place, 0), self.count - 1)
        return first

    def _last(self, low: Floats) -> Floats:
        """Return the last tile that starts before the low side, which may be clipped, (n,)."""
        side = low - self.tolerance
        place = np.maximum(np.minimum(np.ceil(side / self.stride) - 1, self.count - 2), 0)
        return np.where(side > self.starts[-1], self.count - 1.0, place)

    def _core(self, centre: Floats) -> Floats:
        """Return the position of the tile whose core holds a center, (n,)."""
        half = (self.stride + self.size) // 2
        place = np.floor((centre - half) / self.stride) + 1
        place = np.maximum(np.minimum(place, self.count - 2), 0)
        return np.where(centre >= self.borders[-2], self.count - 1.0, place)
