"""Places of tiles along one axis, and which of the intervals they saw are theirs to report."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np

from swath._types import Floats, Ints, Mask
from swath.raster.tiles import Grid


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """Of intervals seen from places along one axis, (n,) each."""

    keep: Mask
    part: Mask
    """No place holds it: the object is longer than what two neighbours share."""
    unsure: Mask
    """It is a part, or may look like one from another place."""
    doubtful: Mask
    """No part, but another place may come to another answer."""
    held: Mask
    """It keeps clear of the ends of the place that saw it."""
    guest: Mask
    """Another place owns it."""
    owner: Ints
    """The place that owns it; of a part, that which saw it."""
    open_low: Mask
    """Whether the place before may have seen the same thing, or more of it."""
    open_high: Mask
    """The same of the place after."""


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """Places at a regular stride, but for the last, which is moved back to the scene's end."""

    count: int
    size: int
    stride: int
    starts: Floats
    """(count,); of the first, -inf: nothing is clipped at the scene's own border."""
    ends: Floats
    """(count,); of the last, +inf."""
    borders: Floats
    """(count + 1,), where cores begin and end, from -inf to +inf."""
    tolerance: float
    jitter: float

    @classmethod
    @lru_cache(maxsize=16)  # asked for at every batch of tiles
    def of(cls, grid: Grid, axis: int, *, tolerance: float, jitter: float) -> Self:
        """The places along x (axis 0) or y (axis 1)."""
        count, step = (grid.columns, 1) if axis == 0 else (grid.rows, grid.columns)
        tiles = np.arange(count) * step
        windows = grid.windows(tiles).astype(np.float64)
        starts, ends = windows[:, axis], windows[:, axis] + windows[:, axis + 2]
        starts[0], ends[-1] = -np.inf, np.inf
        inner = grid.cores(tiles)[1:, axis]
        borders = np.concatenate([[-np.inf], inner, [np.inf]])
        return cls(count, grid.size, grid.stride, starts, ends, borders, tolerance, jitter)

    def surely(self, low: Floats, high: Floats, place: Ints) -> Mask:
        """Which intervals are their places' own beyond doubt; nearly all are, and it costs little.

        The place holds the interval and its core the centre, by more than anything may move.
        """
        clear, twice = self.tolerance + self.jitter, low + high
        mine: Mask = low > (self.starts + clear)[place]
        mine &= high < (self.ends - clear)[place]
        mine &= twice >= (2 * (self.borders + self.jitter))[place]
        mine &= twice < (2 * (self.borders - self.jitter))[place + 1]
        return mine

    def ask(self, low: Floats, high: Floats, place: Ints) -> Answer:
        """Whether intervals are the places' own to report."""
        shift = np.array([[-self.jitter], [0.0], [self.jitter]])
        first, last = self._first(high + shift), self._last(low + shift)
        # The place whose core holds the centre, or that nearest to it that holds the interval.
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
        """The first and the last place that sees anything of intervals, their ends included."""
        first = np.searchsorted(self.ends, low, side="left")
        last = np.searchsorted(self.starts, high, side="right") - 1
        return first, last

    # The three below are searches among ends, starts and borders, in the arithmetic of the stride.

    def _first(self, high: Floats) -> Floats:
        """The first place that ends after what may be a clipped side."""
        place = np.floor((high + (self.tolerance - self.size)) / self.stride) + 1
        first: Floats = np.minimum(np.maximum(place, 0), self.count - 1)
        return first

    def _last(self, low: Floats) -> Floats:
        """The last place that starts before what may be a clipped side."""
        side = low - self.tolerance
        place = np.maximum(np.minimum(np.ceil(side / self.stride) - 1, self.count - 2), 0)
        return np.where(side > self.starts[-1], self.count - 1.0, place)

    def _core(self, centre: Floats) -> Floats:
        """The place whose core holds a centre."""
        half = (self.stride + self.size) // 2
        place = np.floor((centre - half) / self.stride) + 1
        place = np.maximum(np.minimum(place, self.count - 2), 0)
        return np.where(centre >= self.borders[-2], self.count - 1.0, place)
