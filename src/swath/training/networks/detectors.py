"""Small detectors side by side, whose answers are averaged.

Where labels are few, what networks have in common is what they learnt, and what they differ in is
chance: their mean is better than the best of them (Lakshminarayanan et al. 2017,
https://arxiv.org/abs/1612.01474).
"""

# mypy: allow-subclassing-any, allow-untyped-calls
# (torch has no types where it is not installed, and some of its functions have none where it is)

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from swath.errors import InputError
from swath.packaging.write_mlm import OutputSpec
from swath.training.networks.assignment import centres
from swath.training.networks.blocks import folded
from swath.training.networks.detector import Detector, Maps
from swath.training.networks.network import Head, Network, Targets
from swath.training.networks.views import COUNTS, views


class Detectors(Network):
    """One or several detectors that learn from different crops and answer together."""

    member = Detector
    """Whose options are options of this network, too."""

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
        """Detectors with random weights, each with its own.

        Args:
            bands: of its tiles.
            classes: of objects.
            size: of its tiles, px.
            members: how many detectors. Each learns from its share of every batch, so batches are
                to be as many times as large. Training and use cost as many times as much.
            views: from how many sides each looks at a tile when it is used: 1, 2, 4 or 8. Training
                is the same; use costs as many times as much.
            options: of each, see `Detector`.

        Raises:
            InputError: there are no members, or not so many views.
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
        """Px from place to place."""
        return _detectors(self.members)[0].stride

    def forward(self, x: Tensor) -> list[Maps]:
        """Scaled tiles (batch, bands, rows, cols) to what each member says of its share of them."""
        parts = zip(self.members, self._shares(len(x)), strict=True)
        return [member(x[share]) for member, share in parts if len(x[share])]

    def loss(self, outputs: list[Maps], targets: Targets) -> dict[str, Tensor]:
        """`score` and `box`: the sums over members, so that each learns as if it were alone."""
        total: dict[str, Tensor] = {}
        shares = self._shares(len(targets.boxes))
        for member, said, share in zip(_detectors(self.members), outputs, shares, strict=False):
            for name, value in member.loss(said, targets.part(share)).items():
                total[name] = total[name] + value if name in total else value
        return total

    def exported(self) -> nn.Module:
        """Tiles to rows of a box and a score a class."""
        return Rows([folded(member) for member in self.members], self.views, self.stride)

    def head(self) -> Head:
        """Rows of `cxcywh` boxes in px, and scores."""
        places = (self.size // self.stride) ** 2
        rows = OutputSpec(
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
        """Which crops of a batch each member is shown."""
        each = len(self.members)
        return [slice(place, count, each) for place in range(each)]


class Rows(nn.Module):
    """Detectors as they are exported."""

    def __init__(self, members: Sequence[nn.Module], count: int, stride: int) -> None:
        """The mean over members and views: of scores, and of the logarithms of distances.

        Args:
            members: the detectors.
            count: of views.
            stride: px from place to place.
        """
        super().__init__()
        self.members = nn.ModuleList(members)
        self.views, self.stride = views(count), stride

    def forward(self, tiles: Tensor) -> Tensor:
        """(batch, bands, size, size) to (batch, 4 + classes, places): cx, cy, w, h, scores."""
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
    """The members by their type, which torch's list does not tell."""
    return cast("list[Detector]", list(members))
