"""Assign ground truth objects to the cells of a detector's feature map.

A cell is positive if its center lies in the middle of a box: within `radius` times the box's width
and height around the box's center. FCOS's center sampling does the same with a fixed radius (Tian
et al. 2019, https://arxiv.org/abs/1904.01355). With a relative radius, a ship's wake or a quay
beside it is not positive. The cell nearest to the center is always positive, since an object
smaller than the map's stride might otherwise have no cell. Where objects overlap, the smaller one
has the cell.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Assignment(NamedTuple):
    """Assignment of objects to the cells of one crop; cells are numbered row by row."""

    cells: Tensor
    """Indices of the positive cells, int64 (m,), increasing."""
    boxes: Tensor
    """Index of each positive cell's box, int64 (m,)."""
    ignored: Tensor
    """Mask of the cells, bool (cells,); True where the score has no loss."""


def cell_centers(rows: int, cols: int, stride: int, device: torch.device | None = None) -> Tensor:
    """Return the centers of a map's cells, float32 (rows * cols, 2): x, y in px of the tile.

    Args:
        rows: Number of rows of the map.
        cols: Number of columns of the map.
        stride: Distance between cells in px.
        device: Device of the result; by default torch's default device.
    """
    y, x = torch.meshgrid(
        torch.arange(rows, device=device), torch.arange(cols, device=device), indexing="ij"
    )
    grid: Tensor = (torch.stack([x, y], dim=-1).reshape(-1, 2).float() + 0.5) * stride
    return grid


def assign_objects(
    centers: Tensor, boxes: Tensor, crowd: Tensor, valid: Tensor, radius: float
) -> Assignment:
    """Assign objects to the cells of one crop.

    Args:
        centers: Centers of the cells, (cells, 2): x, y in px.
        boxes: Ground truth boxes, (n, 4): x_min, y_min, x_max, y_max in px. Boxes without area
            have no cells. Small boxes with a center outside of the map have none, either.
        crowd: Mask of the crowd regions among the boxes, bool (n,). Cells within them are ignored
            unless they are positive for another object.
        valid: Mask of the cells, bool (cells,); True where the scene is valid. Invalid cells are
            ignored.
        radius: Distance from a box's center within which cells are positive, as a fraction of the
            box's width and height.
    """
    size = boxes[:, 2:] - boxes[:, :2]
    ignored = ~valid | _within(centers, boxes[crowd]).any(dim=1)
    objects = torch.nonzero(~crowd & (size > 0).all(dim=1))[:, 0]
    if not len(objects):
        none = objects.new_zeros(0)
        return Assignment(none, none, ignored)
    middle = (boxes[objects, :2] + boxes[objects, 2:]) / 2
    distance = (centers[:, None] - middle).abs()
    positive = (distance <= radius * size[objects]).all(dim=2)
    nearest = distance.square().sum(dim=2).argmin(dim=0)
    inside = _within(middle, _extent(centers))[:, 0]
    area = size[objects].prod(dim=1).expand_as(positive).clone()
    area[~positive] = torch.inf
    # An object also competes for the cell nearest to its center; a smaller object can still have
    # that cell.
    area[nearest[inside], torch.nonzero(inside)[:, 0]] = size[objects[inside]].prod(dim=1)
    least, chosen = area.min(dim=1)
    cells = torch.nonzero(torch.isfinite(least) & valid)[:, 0]
    ignored[cells] = False
    return Assignment(cells, objects[chosen[cells]], ignored)


def _within(points: Tensor, boxes: Tensor) -> Tensor:
    """Return a mask of the points within each box, bool (points, boxes)."""
    low, high = boxes[None, :, :2], boxes[None, :, 2:]
    inside: Tensor = ((points[:, None] >= low) & (points[:, None] <= high)).all(dim=2)
    return inside


def _extent(centers: Tensor) -> Tensor:
    """Return the box around all cells, (1, 4).

    The box extends half a stride beyond the centers. The stride is the distance from the first
    cell to the second.
    """
    half = (centers[1] - centers[0]).abs().max() / 2 if len(centers) > 1 else 0.5
    return torch.cat([centers.amin(dim=0) - half, centers.amax(dim=0) + half])[None]
