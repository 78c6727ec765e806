"""Update the weights of a network step by step, on a CPU or a GPU."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from swath.errors import TrainingError
from swath.training.ema import EmaModel
from swath.training.networks import to_float32
from swath.training.schedule import learning_rate_factor

if TYPE_CHECKING:
    from swath.training.loader import Batch
    from swath.training.networks import Network
    from swath.training.options import TrainOptions


class TrainStep:
    """A network, its optimizer and the moving average of its weights; runs one step at a time."""

    def __init__(self, network: Network, options: TrainOptions, device: torch.device) -> None:
        self.device, self.options = device, options
        layout = torch.channels_last if options.channels_last else torch.contiguous_format
        move: Any = network.to  # torch's stubs lack memory formats
        self.network: Network = move(device, memory_format=layout)
        self.ema = EmaModel(self.network, options.ema_decay)
        self.precision = _select_precision(options.precision, device)
        self._optimizer = torch.optim.AdamW(
            _parameter_groups(self.network, options.weight_decay), lr=options.learning_rate
        )
        self._best: dict[str, torch.Tensor] | None = None

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return self.options.learning_rate * learning_rate_factor(
            step,
            steps=self.options.steps,
            warm_up=self.options.warm_up,
            final=self.options.final_learning_rate,
        )

    def run(self, step: int, batches: Sequence[Batch]) -> dict[str, float]:
        """Update the weights by the mean loss of some batches.

        Args:
            step: Number of the step, from 0.
            batches: Batches to average the loss over.

        Returns:
            The parts of the loss by name.

        Raises:
            TrainingError: The loss or its gradient is infinite or NaN.
        """
        self.network.train()
        for group in self._optimizer.param_groups:
            group["lr"] = self.learning_rate(step)
        self._optimizer.zero_grad(set_to_none=True)
        parts: dict[str, float] = {}
        for batch in batches:
            for name, value in self._backward(batch, weight=1 / len(batches)).items():
                parts[name] = parts.get(name, 0.0) + value
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip_norm)
        _check_finite(step, parts | {"gradient": float(norm)}, rate=self.learning_rate(step))
        self._optimizer.step()
        self.ema.update(self.network, step)
        return parts

    def keep_best(self) -> None:
        """Keep a copy of the current averaged weights as the best ones."""
        self._best = copy.deepcopy(self.ema.network.state_dict())

    def export_network(self) -> Network:
        """Return the network to export, with the best averaged weights, or else the current ones.

        The current weights are used where `keep_best` was never called.
        """
        network: Network = copy.deepcopy(self.ema.network)
        if self._best is not None:
            network.load_state_dict(self._best)
        return network

    def state_dict(self) -> dict[str, Any]:
        """Return the state that the next step depends on, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "average": self.ema.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "best": self._best,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore a state that `state_dict` returned."""
        self.network.load_state_dict(state["network"])
        self.ema.network.load_state_dict(state["average"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._best = state["best"]
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])

    def _backward(self, batch: Batch, weight: float) -> dict[str, float]:
        batch = batch.to(self.device, channels_last=self.options.channels_last)
        is_reduced = self.precision is not torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=is_reduced):
            outputs = self.network(batch.pixels)
        # Sums and logarithms over thousands of cells need more than bfloat16's 8 bits of precision.
        losses = self.network.loss(to_float32(outputs), batch.targets)
        total: Any = sum(losses.values())
        (total * weight).backward()
        return {name: float(value.detach()) * weight for name, value in losses.items()}


def _select_precision(requested: str, device: torch.device) -> torch.dtype:
    # Older GPUs emulate bfloat16, which is slower than float32.
    has_bfloat16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    reduced = requested == "bfloat16" or (requested == "auto" and has_bfloat16)
    return torch.bfloat16 if reduced else torch.float32


def _parameter_groups(network: Network, decay: float) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups: weights decay; norms and biases do not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _check_finite(step: int, values: dict[str, float], *, rate: float) -> None:
    not_finite = {name: value for name, value in values.items() if not math.isfinite(value)}
    if not_finite:
        causes = ", ".join(f"{name} is {value}" for name, value in not_finite.items())
        raise TrainingError(
            f"at step {step}, with a learning rate of {rate:.3g}, {causes}: training cannot "
            "continue. Lower learning_rate or increase warm_up; check the scenes for extreme values"
        )
