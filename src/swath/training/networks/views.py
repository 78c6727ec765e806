"""Mirror and turn tiles for test-time augmentation.

Overhead imagery has no upward direction, so mirrored and turned tiles are equally valid inputs.
The errors of these views differ, and the mean of their outputs is better than any single output.
The cost grows with the number of views (Krizhevsky et al. 2012, https://doi.org/10.1145/3065386).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor

VIEW_COUNTS = (1, 2, 4, 8)
"""Possible numbers of views."""
_ROWS, _COLS = -2, -1


class View(NamedTuple):
    """A view of a tile: one of the eight symmetries of a square."""

    swapped: bool
    """True if rows and columns are transposed, before any flip."""
    upside_down: bool
    """True if the rows are flipped."""
    mirrored: bool
    """True if the columns are flipped."""

    def apply(self, tiles: Tensor) -> Tensor:
        """Return the view of tiles (batch, bands, rows, cols)."""
        if self.swapped:
            tiles = tiles.transpose(_ROWS, _COLS)
        return tiles.flip(self._axes) if self._axes else tiles

    def undo(self, sides: Tensor, scores: Tensor) -> tuple[Tensor, Tensor]:
        """Return a detector's outputs for the view, mapped back to the original tile.

        Args:
            sides: Distances to the left, upper, right and lower side of the box, (batch, 4, rows,
                cols).
            scores: Scores, (batch, classes, rows, cols).

        Returns:
            Distances and scores of the same shapes, in the original tile's orientation.
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
    """Return the first 1, 2, 4 or 8 views.

    One view is the tile itself. Two add its mirror image, four add both upside down, and eight
    add the transposes of these four.
    """
    return [View(bool(n & 4), bool(n & 2), bool(n & 1)) for n in range(count)]
