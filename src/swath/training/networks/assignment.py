"""Which places of a detector's map answer for which object.

A place is positive if it lies in the middle of a box: within `radius` of the box's width and height
around its centre, as in FCOS's centre sampling (Tian et al. 2019, https://arxiv.org/abs/1904.01355),
but relative to the box, so that a ship's wake or a quay beside it is not asked for a ship. The
place nearest the centre is always positive: an object smaller than the map's step would have none
otherwise. Where objects overlap, the smaller one has the place.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Assignment(NamedTuple):
    """Of one crop; places in rows of the map, one after the other."""

    place: Tensor
    """int64 (m,): the positive places, increasing."""
    object: Tensor
    """int64 (m,): which box each answers for."""
    ignored: Tensor
    """bool (places,): True where nothing is learnt of whether there is an object."""


def centres(rows: int, cols: int, stride: int, device: torch.device | None = None) -> Tensor:
    """The middles of a map's places, float32 (rows * cols, 2) of x, y in px of the tile."""
    y, x = torch.meshgrid(
        torch.arange(rows, device=device), torch.arange(cols, device=device), indexing="ij"
    )
    grid: Tensor = (torch.stack([x, y], dim=-1).reshape(-1, 2).float() + 0.5) * stride
    return grid


def assign(
    places: Tensor, boxes: Tensor, crowd: Tensor, valid: Tensor, radius: float
) -> Assignment:
    """Objects for places.

    Args:
        places: (places, 2) of x, y, px.
        boxes: (n, 4) corners, px; those without area or with their centre outside of `valid`
            pixels answer nowhere.
        crowd: bool (n,): boxes within which nothing is learnt, other objects apart.
        valid: bool (places,): where there is a scene.
        radius: the share of a box's sides, from its centre, within which places are positive.
    """
    size = boxes[:, 2:] - boxes[:, :2]
    ignored = ~valid | _within(places, boxes[crowd]).any(dim=1)
    real = torch.nonzero(~crowd & (size > 0).all(dim=1))[:, 0]
    if not len(real):
        nothing = real.new_zeros(0)
        return Assignment(nothing, nothing, ignored)
    middle = (boxes[real, :2] + boxes[real, 2:]) / 2
    away = (places[:, None] - middle).abs()
    positive = (away <= radius * size[real]).all(dim=2)
    nearest = away.square().sum(dim=2).argmin(dim=0)
    inside = _within(middle, _extent(places))[:, 0]
    area = size[real].prod(dim=1).expand_as(positive).clone()
    area[~positive] = torch.inf
    # An object's own middle is never another's, unless that one is as small and sits on it.
    area[nearest[inside], torch.nonzero(inside)[:, 0]] = size[real[inside]].prod(dim=1)
    least, chosen = area.min(dim=1)
    place = torch.nonzero(torch.isfinite(least) & valid)[:, 0]
    ignored[place] = False
    return Assignment(place, real[chosen[place]], ignored)


def _within(points: Tensor, boxes: Tensor) -> Tensor:
    """Which points lie in which boxes, bool (points, boxes)."""
    low, high = boxes[None, :, :2], boxes[None, :, 2:]
    inside: Tensor = ((points[:, None] >= low) & (points[:, None] <= high)).all(dim=2)
    return inside


def _extent(places: Tensor) -> Tensor:
    """The box around all places, (1, 4), out to half a step: that from the first to the second."""
    half = (places[1] - places[0]).abs().max() / 2 if len(places) > 1 else 0.5
    return torch.cat([places.amin(dim=0) - half, places.amax(dim=0) + half])[None]
