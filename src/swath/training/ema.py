"""Average a network's weights over its steps; the average is better than any single step's."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import torch

from swath.training.schedule import ema_decay_at

if TYPE_CHECKING:
    from swath.training.networks import Network


class EmaModel:
    """A network whose weights are a moving average of another network's weights.

    Polyak averaging with an exponential window (https://arxiv.org/abs/1803.05407 on why it helps).
    """

    def __init__(self, network: Network, decay: float) -> None:
        """Start the average with a network's current weights.

        Args:
            network: Network to average, of which a copy is made.
            decay: Decay of the average per step, after the first steps.
        """
        self.network = copy.deepcopy(network).eval()
        self.network.requires_grad_(requires_grad=False)
        self._decay = decay

    def update(self, network: Network, step: int) -> None:
        """Update the average with a network's weights and running statistics after a step.

        Args:
            network: Network after the step.
            step: Number of the step, from 0.
        """
        weight = 1 - ema_decay_at(step, self._decay)
        averages, current = self.network.state_dict(), network.state_dict()
        floating = [name for name, value in averages.items() if value.is_floating_point()]
        with torch.no_grad():
            torch._foreach_lerp_(
                [averages[name] for name in floating], [current[name] for name in floating], weight
            )
            for name in averages.keys() - set(floating):
                averages[name].copy_(current[name])
