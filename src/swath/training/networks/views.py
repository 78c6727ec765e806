"""Tiles looked at from several sides.

Overhead imagery has no up, so each mirror image and quarter turn of a tile is as good a view of it
as the tile is. The errors of the views differ, and their mean is better than any of them, for as
many times the work (test-time augmentation: Krizhevsky et al. 2012,
https://doi.org/10.1145/3065386).
"""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types where it is not installed, and some of its functions have none where it is)

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

COUNTS = (1, 2, 4, 8)
_ROWS, _COLS = -2, -1
_NEAREST = 1e-3
"""px; of a side, whose logarithm is averaged."""


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

    def undone(self, scores: Tensor, sides: Tensor) -> tuple[Tensor, Tensor]:
        """What was seen from here, where it is in the tile.

        Args:
            scores: (batch, classes, rows, cols).
            sides: (batch, 4, rows, cols): distances to the left, upper, right and lower side.
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
        return scores, sides

    @property
    def _axes(self) -> list[int]:
        return [_ROWS] * self.upside_down + [_COLS] * self.mirrored


def views(count: int) -> list[View]:
    """So many views: the tile itself, its mirror image, both upside down, and all turned."""
    return [View(bool(n & 4), bool(n & 2), bool(n & 1)) for n in range(count)]


def seen_from(view: View, detector: nn.Module, tiles: Tensor, middle: Tensor) -> Tensor:
    """What a detector says of square tiles that it sees from a side.

    Args:
        view: the side.
        detector: from tiles to logits (batch, places, classes) and boxes (batch, places, 4).
        tiles: (batch, bands, size, size).
        middle: of the places, (places, 2) of x, y; px.

    Returns:
        (batch, 4 + classes, rows, cols): logarithms of the distances from the middle of a place to
        the left, upper, right and lower side of its box, px; and scores.
    """
    logits, boxes = detector(view.of(tiles))
    sides = torch.cat([middle - boxes[..., :2], boxes[..., 2:] - middle], dim=-1)
    rows = math.isqrt(len(middle))
    scores, sides = (
        maps.transpose(1, 2).unflatten(2, (rows, rows))
        for maps in (logits.sigmoid(), sides.clamp(min=_NEAREST).log())
    )
    scores, sides = view.undone(scores, sides)
    return torch.cat([sides, scores], dim=1)
