"""Build the detector as a torch module."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.models.network import BOX_SIZE, STRIDE, Architecture, Weights, cell_centers, run

# torch is not part of the lock, so its types are not known everywhere.
_Module: Any = nn.Module


class Detector(_Module):  # type: ignore[misc]
    """Module from float32 (batch, 3, side, side) to (batch, 5, candidates)."""

    def __init__(self, architecture: Architecture, weights: Weights, side: int) -> None:
        super().__init__()
        self._architecture = architecture
        for name, values in weights.items():
            parameter = nn.Parameter(torch.from_numpy(values.copy()), requires_grad=False)
            self.register_parameter(_attribute(name), parameter)
        self.register_buffer("centers", torch.from_numpy(cell_centers(side)))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Run the network."""
        found: torch.Tensor = run(_Operations(self), self._architecture, image)
        return found


@dataclass(frozen=True, slots=True)
class _Operations:
    """Build the layers of the network with a module's weights."""

    module: nn.Module

    def conv(self, x: torch.Tensor, name: str, *, stride: int = 1) -> torch.Tensor:
        weight = self.module.get_parameter(_attribute(f"{name}.weight"))
        bias = self.module.get_parameter(_attribute(f"{name}.bias"))
        return functional.conv2d(x, weight, bias, stride, weight.shape[-1] // 2)

    def silu(self, x: torch.Tensor) -> torch.Tensor:
        return functional.silu(x)

    def add(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x + y

    def concat(self, *parts: torch.Tensor) -> torch.Tensor:
        return torch.cat(parts, 1)

    def upsample(self, x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, scale_factor=2, mode="nearest")

    def boxes(self, head: torch.Tensor) -> torch.Tensor:
        score = torch.sigmoid(head[:, :1])
        peak = (functional.max_pool2d(score, 3, 1, 1) == score).to(score.dtype)
        score = (score * peak).flatten(2)
        center = self.module.get_buffer("centers")
        center = center + torch.tanh(head[:, 1:3].flatten(2)) * (STRIDE / 2)
        side = torch.exp(torch.clamp(head[:, 3:].flatten(2), -1.0, 1.0)) * BOX_SIZE
        return torch.cat([center, side, score], 1)


def export(detector: Detector, side: int, path: Path) -> None:
    """Write a `.pt2` that takes batches of any size."""
    example = torch.zeros(2, 3, side, side)
    batch = torch.export.Dim("batch", min=1, max=64)
    program: Any = torch.export.export(detector.eval(), (example,), dynamic_shapes=({0: batch},))
    torch.export.save(program, str(path))


def _attribute(name: str) -> str:
    """Return a weight's name as a parameter's name, which may have no dots."""
    return name.replace(".", "_")
