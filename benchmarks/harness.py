"""Comparisons: sides that take turns on one machine, and the ratio between them.

A ratio is taken within a round, where the sides ran one after the other, and the median over the
rounds is the figure: what drifts between rounds (the clock, the host's other guests) drops out.
Rounds in which others kept the machine busy are passed over if there are others.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.meter import Sample, machine_cpu, own_cpu
from benchmarks.report import say

CLEAN = 0.15
"""Cores that others may use while a sample is taken."""
_LOOK = 0.25
"""s to look whether the machine is quiet."""

Side = Callable[[], Sample]
Round = dict[str, Sample]
"""By name of the side."""


@dataclass(slots=True)
class Patience:
    """Time that all benchmarks together may still wait for a quiet machine, in s."""

    left: float = 300.0
    at_once: float = 10.0

    def wait(self) -> None:
        """Return once others are quiet, or when this has taken too long."""
        started = time.monotonic()
        until = started + min(self.left, self.at_once)
        while time.monotonic() < until and _others() > CLEAN:
            pass
        self.left -= time.monotonic() - started


PATIENCE = Patience()


def compare(
    sides: Mapping[str, Side], *, rounds: int = 5, budget: float = 60.0, quick: bool = False
) -> list[Round]:
    """Run sides in turns.

    Args:
        sides: by name, in the order of their turns.
        rounds: how many are wanted that others left alone.
        budget: s after which no round is added to make up for those that others spoilt.
        quick: run one round, whatever others do.
    """
    done: list[Round] = []
    started = time.monotonic()
    while len(done) < rounds or (
        sum(map(is_clean, done)) < rounds and time.monotonic() - started < budget
    ):
        done.append(_one(sides, Patience(0) if quick else PATIENCE))
        say(f"    round {len(done)}: {_brief(done[-1])}")
        if quick:
            break
    return done


def _one(sides: Mapping[str, Side], patience: Patience) -> Round:
    samples: Round = {}
    for name, side in sides.items():
        patience.wait()
        samples[name] = side()
    return samples


def is_clean(samples: Round) -> bool:
    """Tell whether other processes were quiet while the round ran."""
    return all(sample["others"] <= CLEAN for sample in samples.values())


def clean_rounds(rounds: list[Round]) -> list[Round]:
    """Return the rounds without other load; all rounds if each had some."""
    return [one for one in rounds if is_clean(one)] or rounds


def ratio(rounds: list[Round], above: str, below: str, measure: str = "wall") -> float:
    """Return the median, over the rounds, of one side's measure divided by another's."""
    ratios = [one[above][measure] / one[below][measure] for one in clean_rounds(rounds)]
    return float(statistics.median(ratios))


def median(rounds: list[Round], side: str, measure: str = "wall") -> float:
    """Return the median of one side's measure."""
    return float(statistics.median(one[side][measure] for one in clean_rounds(rounds)))


def only(rounds: list[Round], *sides: str) -> list[Round]:
    """Return the rounds with some of their sides: the samples of one figure of several."""
    return [{side: one[side] for side in sides} for one in rounds]


def _others() -> float:
    """Cores that others keep busy just now."""
    busy, own = machine_cpu(), own_cpu()
    time.sleep(_LOOK)
    return (machine_cpu() - busy - (own_cpu() - own)) / _LOOK


def _brief(samples: Round) -> str:
    walls = ", ".join(f"{name} {sample['wall']:.3g} s" for name, sample in samples.items())
    others = max(sample["others"] for sample in samples.values())
    return walls if others <= CLEAN else f"{walls} (others used {others:.2f} cores)"
