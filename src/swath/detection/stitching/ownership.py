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
class Ownership:
    """Ownership of intervals that tiles detected along one axis, (n,) each."""

    is_reported: Mask
    """Whether the interval's tile reports it."""
    is_truncated: Mask
    """Whether no tile holds the interval: the object is longer than the overlap of neighbors."""
    may_be_truncated: Mask
    """Whether the interval is a part, or another tile may take it for a part."""
    is_ambiguous: Mask
    """Whether the interval is no part, but another tile may decide differently."""
    is_whole: Mask
    """Whether the interval keeps clear of the ends of its tile."""
    is_not_owned: Mask
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
    def from_grid(cls, grid: Grid, axis: int, *, tolerance: float, jitter: float) -> Self:
        """Return the tiles of a grid along x (axis 0) or y (axis 1)."""
        count, step = (grid.columns, 1) if axis == 0 else (grid.rows, grid.columns)
        tiles = np.arange(count) * step
        windows = grid.windows(tiles).astype(np.float64)
        starts, ends = windows[:, axis], windows[:, axis] + windows[:, axis + 2]
        starts[0], ends[-1] = -np.inf, np.inf
        inner = grid.cores(tiles)[1:, axis]
        borders = np.concatenate([[-np.inf], inner, [np.inf]])
        return cls(count, grid.size, grid.stride, starts, ends, borders, tolerance, jitter)

    def is_surely_owned(self, low: Floats, high: Floats, position: Ints) -> Mask:
        """Return which intervals their tiles certainly own, (n,).

        This cheap test accepts nearly all intervals. The tile must hold the interval, and the core
        must hold its center, both by more than the tolerance and jitter can shift them.

        Args:
            low: (n,) low ends of intervals in px.
            high: (n,) high ends in px.
            position: (n,) position of each interval's tile.
        """
        clear, doubled_center = self.tolerance + self.jitter, low + high
        owned: Mask = low > (self.starts + clear)[position]
        owned &= high < (self.ends - clear)[position]
        owned &= doubled_center >= (2 * (self.borders + self.jitter))[position]
        owned &= doubled_center < (2 * (self.borders - self.jitter))[position + 1]
        return owned

    def classify(self, low: Floats, high: Floats, position: Ints) -> Ownership:
        """Decide which tiles own and report intervals.

        Args:
            low: (n,) low ends of intervals in px.
            high: (n,) high ends in px.
            position: (n,) position of each interval's tile.
        """
        shift = np.array([[-self.jitter], [0.0], [self.jitter]])
        first, last = self._first_whole(high + shift), self._last_whole(low + shift)
        # The tile whose core holds the center, or the nearest tile that holds the interval.
        lowest, owner, highest = np.minimum(
            np.maximum(self._core_owner((low + high) / 2 + shift), first), last
        )
        is_truncated, clear = first[1] > last[1], self.tolerance + self.jitter
        may_be_truncated = first[2] > last[0]
        is_ambiguous = ~is_truncated & (may_be_truncated | (lowest < highest))
        return Ownership(
            is_reported=may_be_truncated | ((lowest <= position) & (position <= highest)),
            is_truncated=is_truncated,
            may_be_truncated=may_be_truncated,
            is_ambiguous=is_ambiguous,
            is_whole=(first[1] <= position) & (position <= last[1]),
            is_not_owned=~is_truncated & (owner != position),
            owner=np.where(is_truncated, position, owner).astype(np.int64),
            open_low=is_ambiguous | (low - clear <= self.starts[position]),
            open_high=is_ambiguous | (high + clear >= self.ends[position]),
        )

    def touched_tiles(self, low: Floats, high: Floats) -> tuple[Ints, Ints]:
        """Return the first and last position of tiles that intervals touch, (n,) each.

        Args:
            low: (n,) low ends of intervals in px; the end is part of the interval.
            high: (n,) high ends in px; the end is part of the interval.
        """
        first = np.searchsorted(self.ends, low, side="left")
        last = np.searchsorted(self.starts, high, side="right") - 1
        return first, last

    # The next three methods search ends, starts and borders by arithmetic with the stride.

    def _first_whole(self, high: Floats) -> Floats:
        """Return the first tile that ends after the high side, which may be clipped, (n,)."""
        position = np.floor((high + (self.tolerance - self.size)) / self.stride) + 1
        first: Floats = np.minimum(np.maximum(position, 0), self.count - 1)
        return first

    def _last_whole(self, low: Floats) -> Floats:
        """Return the last tile that starts before the low side, which may be clipped, (n,)."""
        side = low - self.tolerance
        position = np.maximum(np.minimum(np.ceil(side / self.stride) - 1, self.count - 2), 0)
        return np.where(side > self.starts[-1], self.count - 1.0, position)

    def _core_owner(self, center: Floats) -> Floats:
        """Return the position of the tile whose core holds a center, (n,)."""
        half = (self.stride + self.size) // 2
        position = np.floor((center - half) / self.stride) + 1
        position = np.maximum(np.minimum(position, self.count - 2), 0)
        return np.where(center >= self.borders[-2], self.count - 1.0, position)
