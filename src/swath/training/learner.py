"""Update the weights of a network step by step, on a CPU or a GPU."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from swath.errors import TrainingError
from swath.training.ema import Average
from swath.training.networks import in_float32
from swath.training.schedule import rate_factor

if TYPE_CHECKING:
    from swath.training.loader import Batch
    from swath.training.networks import Network
    from swath.training.options import TrainOptions


class Learner:
    """A network, the moving average of its weights, and its optimizer."""

    def __init__(self, network: Network, options: TrainOptions, device: torch.device) -> None:
        self.device, self.options = device, options
        layout = torch.channels_last if options.channels_last else torch.contiguous_format
        move: Any = network.to  # torch's stubs lack memory formats
        self.network: Network = move(device, memory_format=layout)
        self.average = Average(self.network, options.ema_decay)
        self.precision = _precision(options.precision, device)
        self._optimiser = torch.optim.AdamW(
            _groups(self.network, options.weight_decay), lr=options.learning_rate
        )
        self._best: dict[str, torch.Tensor] | None = None

    def rate(self, step: int) -> float:
        """Return the learning rate of a step, counted from 0."""
        return self.options.learning_rate * rate_factor(
            step,
            steps=self.options.steps,
            warm_up=self.options.warm_up,
            final=self.options.final_learning_rate,
        )

    def step(self, step: int, batches: Sequence[Batch]) -> dict[str, float]:
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
        for group in self._optimiser.param_groups:
            group["lr"] = self.rate(step)
        self._optimiser.zero_grad(set_to_none=True)
        parts: dict[str, float] = {}
        for batch in batches:
            for name, value in self._backward(batch, share=1 / len(batches)).items():
                parts[name] = parts.get(name, 0.0) + value
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.options.clip_norm)
        _check(step, parts | {"gradient": float(norm)}, rate=self.rate(step))
        self._optimiser.step()
        self.average.update(self.network, step)
        return parts

    def keep_best(self) -> None:
        """Keep a copy of the current averaged weights as the best ones."""
        self._best = copy.deepcopy(self.average.network.state_dict())

    def outcome(self) -> Network:
        """Return the network to export, with the best averaged weights, or else the current ones.

        The current weights are used where `keep_best` was never called.
        """
        network: Network = copy.deepcopy(self.average.network)
        if self._best is not None:
            network.load_state_dict(self._best)
        return network

    def state(self) -> dict[str, Any]:
        """Return the state that the next step depends on, for a checkpoint."""
        return {
            "network": self.network.state_dict(),
            "average": self.average.network.state_dict(),
            "optimiser": self._optimiser.state_dict(),
            "best": self._best,
            "random": torch.get_rng_state(),
            "random_cuda": torch.cuda.get_rng_state_all() if self.device.type == "cuda" else [],
        }

    def take_up(self, state: dict[str, Any]) -> None:
        """Restore a state that `state` returned."""
        self.network.load_state_dict(state["network"])
        self.average.network.load_state_dict(state["average"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._best = state["best"]
        torch.set_rng_state(state["random"])
        if self.device.type == "cuda" and state["random_cuda"]:
            torch.cuda.set_rng_state_all(state["random_cuda"])

    def _backward(self, batch: Batch, share: float) -> dict[str, float]:
        batch = batch.to(self.device, channels_last=self.options.channels_last)
        reduced = self.precision is not torch.float32
        with torch.autocast(self.device.type, self.precision, enabled=reduced):
            outputs = self.network(batch.pixels)
        # Sums and logarithms over thousands of cells need more than bfloat16's 8 bits of precision.
        losses = self.network.loss(in_float32(outputs), batch.targets)
        total: Any = sum(losses.values())
        (total * share).backward()
        return {name: float(value.detach()) * share for name, value in losses.items()}


def _precision(wanted: str, device: torch.device) -> torch.dtype:
    # Older GPUs emulate bfloat16, which is slower than float32.
    able = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    reduced = wanted == "bfloat16" or (wanted == "auto" and able)
    return torch.bfloat16 if reduced else torch.float32


def _groups(network: Network, decay: float) -> list[dict[str, Any]]:
    """Return the optimizer's parameter groups: weights decay; norms and biases do not."""
    known = list(network.parameters())
    return [
        {"params": [p for p in known if p.ndim > 1], "weight_decay": decay},
        {"params": [p for p in known if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _check(step: int, numbers: dict[str, float], *, rate: float) -> None:
    wrong = {name: value for name, value in numbers.items() if not math.isfinite(value)}
    if wrong:
        said = ", ".join(f"{name} is {value}" for name, value in wrong.items())
        raise TrainingError(
            f"at step {step}, with a learning rate of {rate:.3g}, {said}: training cannot go on. "
            "Lower learning_rate, or lengthen warm_up; look for wild values in the scenes"
        )
