"""How fast weights change from step to step: arithmetic only."""

from __future__ import annotations

import math


def rate_factor(step: int, *, steps: int, warm_up: int, final: float) -> float:
    """The learning rate of a step, as a share of the highest.

    It rises in a line over `warm_up` steps and falls along half a cosine (Loshchilov and Hutter
    2017, https://arxiv.org/abs/1608.03983) to `final` at the last step.

    Args:
        step: from 0.
        steps: of the whole training.
        warm_up: steps; where they are more than half of all, half of all.
        final: the share at the end, 0 to 1.
    """
    rising = min(warm_up, steps // 2)
    if step < rising:
        return (step + 1) / (rising + 1)
    way = (step - rising) / max(1, steps - 1 - rising)
    return final + (1 - final) * (1 + math.cos(math.pi * min(1.0, way))) / 2


def average_decay(step: int, decay: float) -> float:
    """How much of the moving average of the weights stays at a step.

    Less in the beginning, so that the random weights of the start are soon forgotten.
    """
    return min(decay, (1 + step) / (10 + step))
