"""Tiles looked at from several sides.

Overhead imagery has no up, so each mirror image and quarter turn of a tile is as good a view of it
as the tile is. The errors of the views differ, and their mean is better than any of them, for as
many times the work (test-time augmentation: Krizhevsky et al. 2012,
https://doi.org/10.1145/3065386).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

COUNTS = (1, 2, 4, 8)
_ROWS, _COLS = -2, -1


class View(NamedTuple):
    """One of the eight positions of a square."""

    swapped: bool
    """Rows and columns change places, first of all."""
    upside_down: bool
    mirrored: bool

    def of(self, tiles: Tensor) -> Tensor:
        """Tiles (batch, bands, rows, cols) as they are seen from here."""
        if self.swapped:
            tiles = tiles.transpose(_ROWS, _COLS)
        return tiles.flip(self._axes) if self._axes else tiles

    def undone(self, sides: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """What was seen from here, where it is in the tile.

        Args:
            sides: (batch, 4, rows, cols): distances to the left, upper, right and lower side.
            scores: (batch, classes, rows, cols).
        """
        order = [0, 1, 2, 3]
        if self.mirrored:
            order[0], order[2] = order[2], order[0]
        if self.upside_down:
            order[1], order[3] = order[3], order[1]
        if self.swapped:
            order = [order[1], order[0], order[3], order[2]]
        sides = sides[:, order]
        if self._axes:
            scores, sides = scores.flip(self._axes), sides.flip(self._axes)
        if self.swapped:
            scores, sides = scores.transpose(_ROWS, _COLS), sides.transpose(_ROWS, _COLS)
        return sides, scores

    @property
    def _axes(self) -> list[int]:
        return [_ROWS] * self.upside_down + [_COLS] * self.mirrored


def views(count: int) -> list[View]:
    """So many views: the tile itself, its mirror image, both upside down, and all turned."""
    return [View(bool(n & 4), bool(n & 2), bool(n & 1)) for n in range(count)]
