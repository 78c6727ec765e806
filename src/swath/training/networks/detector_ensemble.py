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
from swath.training.networks.assignment import cell_centers
from swath.training.networks.blocks import fold_batch_norms
from swath.training.networks.detector import Detector, DetectorOutput
from swath.training.networks.network import HeadSpec, Network, Targets
from swath.training.networks.views import VIEW_COUNTS, views


class DetectorEnsemble(Network):
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
            raise InputError(f"members is {members}; the minimum is 1")
        if views not in VIEW_COUNTS:
            raise InputError(f"views is {views}; choose one of {', '.join(map(str, VIEW_COUNTS))}")
        self.classes, self.size, self.views = classes, size, views
        self.members = nn.ModuleList(
            Detector(bands=bands, classes=classes, **options) for _ in range(members)
        )

    @property
    def stride(self) -> int:
        """Distance between cells in px."""
        return _detectors(self.members)[0].stride

    def forward(self, x: Tensor) -> list[DetectorOutput]:
        """Return each member's output for its share of scaled tiles (batch, bands, rows, cols)."""
        parts = zip(self.members, self._split_batch(len(x)), strict=True)
        return [member(x[share]) for member, share in parts if len(x[share])]

    def loss(self, outputs: list[DetectorOutput], targets: Targets) -> dict[str, Tensor]:
        """Return the losses `score` and `box`.

        Each is a sum over the members, so each member trains as it would alone.
        """
        total: dict[str, Tensor] = {}
        shares = self._split_batch(len(targets.boxes))
        for member, output, share in zip(_detectors(self.members), outputs, shares, strict=False):
            for name, value in member.loss(output, targets.subset(share)).items():
                total[name] = total[name] + value if name in total else value
        return total

    def exported(self) -> nn.Module:
        """Return a copy for export, which maps tiles to boxes and scores; see `EnsembleExport`."""
        return EnsembleExport(
            [fold_batch_norms(member) for member in self.members], self.views, self.stride
        )

    def head(self) -> HeadSpec:
        """Describe the exported output: `cxcywh` boxes in px, and a score per class."""
        cells = (self.size // self.stride) ** 2
        rows = PackageOutput(
            name="rows",
            shape=(-1, 4 + self.classes, cells),
            axes=("batch", "channel", "candidate"),
        )
        return HeadSpec(
            architecture="swath-detector",
            task="object-detection",
            outputs=(rows,),
            hyperparameters={"box_format": "cxcywh", "score_threshold": 0.1, "iou_threshold": 0.3},
        )

    def _split_batch(self, count: int) -> list[slice]:
        """Return each member's share of the crops of a batch."""
        members = len(self.members)
        return [slice(first, count, members) for first in range(members)]


class EnsembleExport(nn.Module):
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
        outputs = []
        for member, view in itertools.product(_detectors(self.members), self.views):
            logits, sides = member.predict_maps(view.apply(tiles))
            outputs.append(torch.cat(view.undo(sides, logits.sigmoid()), dim=1))
        mean = torch.stack(outputs).mean(dim=0)
        middle = cell_centers(mean.shape[2], mean.shape[3], self.stride, tiles.device).T
        sides, scores = mean[:, :4].exp().flatten(2), mean[:, 4:].flatten(2)
        low, high = middle - sides[:, :2], middle + sides[:, 2:]
        return torch.cat([(low + high) / 2, high - low, scores], dim=1)


def _detectors(members: nn.ModuleList) -> list[Detector]:
    """Return the members as typed detectors, since torch's list is untyped."""
    return cast("list[Detector]", list(members))
