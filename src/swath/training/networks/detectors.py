"""Define an ensemble of small detectors, whose outputs are averaged.

With few labels, the errors of independently trained networks differ by chance. Their mean is
therefore better than the best of them (Lakshminarayanan et al. 2017,
https://arxiv.org/abs/1612.01474).
"""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types if it is not installed, and some of its functions are untyped even if it is)

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from swath.errors import InputError
from swath.packaging.write_mlm import PackageOutput
from swath.training.networks.assignment import centres
from swath.training.networks.blocks import folded
from swath.training.networks.detector import Detector, Maps
from swath.training.networks.network import Head, Network, Targets
from swath.training.networks.views import COUNTS, views


class Detectors(Network):
    """One or several detectors, trained on different crops and averaged at inference."""

    member = Detector
    """Class of the members, whose options are also options of this network."""

    def __init__(
        self,
        *,
        bands: int,
        classes: int,
        size: int,
        members: int = 1,
        views: int = 1,
        **options: Any,
    ) -> None:
        """Create detectors, each with its own random weights.

        Args:
            bands: Number of bands of the tiles.
            classes: Number of classes of objects.
            size: Tile size in px.
            members: Number of detectors. Each trains on its share of every batch, so the batch
                size should grow with `members`. The costs of training and inference do, too.
            views: Number of mirrored and turned views of a tile at inference: 1, 2, 4 or 8. The
                cost of inference grows with it; training stays the same.
            options: Options of each detector, as for `Detector`.

        Raises:
            InputError: `members` is less than 1, or `views` is another number.
        """
        super().__init__()
        if members < 1:
            raise InputError(f"members is {members}; there is at least 1")
        if views not in COUNTS:
            raise InputError(f"views is {views}; choose one of {', '.join(map(str, COUNTS))}")
        self.classes, self.size, self.views = classes, size, views
        self.members = nn.ModuleList(
            Detector(bands=bands, classes=classes, **options) for _ in range(members)
        )

    @property
    def stride(self) -> int:
        """Distance between cells in px."""
        return _detectors(self.members)[0].stride

    def forward(self, x: Tensor) -> list[Maps]:
        """Return each member's output for its share of scaled tiles (batch, bands, rows, cols)."""
        parts = zip(self.members, self._shares(len(x)), strict=True)
        return [member(x[share]) for member, share in parts if len(x[share])]

    def loss(self, outputs: list[Maps], targets: Targets) -> dict[str, Tensor]:
        """Return the losses `score` and `box`.

        Each is a sum over the members, so each member trains as it would alone.
        """
        total: dict[str, Tensor] = {}
        shares = self._shares(len(targets.boxes))
        for member, said, share in zip(_detectors(self.members), outputs, shares, strict=False):
            for name, value in member.loss(said, targets.part(share)).items():
                total[name] = total[name] + value if name in total else value
        return total

    def exported(self) -> nn.Module:
        """Return a copy for export, which maps tiles to boxes and scores; see `Rows`."""
        return Rows([folded(member) for member in self.members], self.views, self.stride)

    def head(self) -> Head:
        """Describe the exported output: `cxcywh` boxes in px, and a score per class."""
        places = (self.size // self.stride) ** 2
        rows = PackageOutput(
            name="rows",
            shape=(-1, 4 + self.classes, places),
            axes=("batch", "channel", "candidate"),
        )
        return Head(
            architecture="swath-detector",
            task="object-detection",
            outputs=(rows,),
            hyperparameters={"box_format": "cxcywh", "score_threshold": 0.1, "iou_threshold": 0.3},
        )

    def _shares(self, count: int) -> list[slice]:
        """Return each member's share of the crops of a batch."""
        each = len(self.members)
        return [slice(place, count, each) for place in range(each)]


class Rows(nn.Module):
    """Exported form of an ensemble of detectors."""

    def __init__(self, members: Sequence[nn.Module], count: int, stride: int) -> None:
        """Create the mean over members and views of scores and of logarithms of distances.

        Args:
            members: Detectors to average.
            count: Number of views of each tile: 1, 2, 4 or 8.
            stride: Distance between cells in px.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        self.views, self.stride = views(count), stride

    def forward(self, tiles: Tensor) -> Tensor:
        """Map tiles to boxes in px and scores.

        Args:
            tiles: Scaled tiles (batch, bands, size, size).

        Returns:
            (batch, 4 + classes, cells): cx, cy, w, h, and a score per class.
        """
        seen = []
        for member, view in itertools.product(_detectors(self.members), self.views):
            logits, sides = member.maps(view.of(tiles))
            seen.append(torch.cat(view.undone(sides, logits.sigmoid()), dim=1))
        mean = torch.stack(seen).mean(dim=0)
        middle = centres(mean.shape[2], mean.shape[3], self.stride, tiles.device).T
        sides, scores = mean[:, :4].exp().flatten(2), mean[:, 4:].flatten(2)
        low, high = middle - sides[:, :2], middle + sides[:, 2:]
        return torch.cat([(low + high) / 2, high - low, scores], dim=1)


def _detectors(members: nn.ModuleList) -> list[Detector]:
    """Return the members as typed detectors, since torch's list is untyped."""
    return cast("list[Detector]", list(members))
