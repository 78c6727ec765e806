"""Compute the learning rate and the decay of the weights' moving average at each step."""

from __future__ import annotations

import math


def learning_rate_factor(step: int, *, steps: int, warm_up: int, final: float) -> float:
    """Return the learning rate of a step, as a fraction of the highest learning rate.

    The learning rate rises linearly over `warm_up` steps. It then falls along half a cosine
    (Loshchilov and Hutter 2017, https://arxiv.org/abs/1608.03983) to `final` at the last step.

    Args:
        step: Number of the step, from 0.
        steps: Number of steps of the whole training.
        warm_up: Number of warm-up steps, limited to half of all steps.
        final: Fraction at the last step, 0 to 1.
    """
    rising_steps = min(warm_up, steps // 2)
    if step < rising_steps:
        return (step + 1) / (rising_steps + 1)
    progress = (step - rising_steps) / max(1, steps - 1 - rising_steps)
    return final + (1 - final) * (1 + math.cos(math.pi * min(1.0, progress))) / 2


def ema_decay_at(step: int, decay: float) -> float:
    """Return the decay of the weights' moving average at a step, counted from 0.

    The decay is lower at first, so that the initial random weights soon drop out of the average.
    """
    return min(decay, (1 + step) / (10 + step))
