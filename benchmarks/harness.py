"""Compare sides that take turns on one machine.

A ratio is computed within a round, in which the sides run one after the other. The metric is the
median over the rounds, so that drift between rounds (clock rate, load of the host) cancels out.
Rounds with load of other processes are ignored if there are rounds without.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from benchmarks.meter import Sample, machine_cpu_seconds, own_cpu_seconds
from benchmarks.progress import print_line

MAX_OTHER_CORES = 0.15
"""Maximum number of cores that other processes may use while a side runs."""
_POLL_SECONDS = 0.25
"""Time in s over which the load of other processes is measured."""

Side = Callable[[], Sample]
Round = dict[str, Sample]
"""Samples of one round by the name of the side."""


@dataclass(slots=True)
class QuietWait:
    """Wait for a quiet machine, with a limit for all benchmarks together.

    Attributes:
        remaining_seconds: Time in s that all further waits may take.
        max_wait_seconds: Maximum time in s of one wait.
    """

    remaining_seconds: float = 300.0
    max_wait_seconds: float = 10.0

    def wait_until_quiet(self) -> None:
        """Return when other processes are quiet, or when the time limit is reached."""
        started = time.monotonic()
        until = started + min(self.remaining_seconds, self.max_wait_seconds)
        while time.monotonic() < until and _measure_other_cores() > MAX_OTHER_CORES:
            pass
        self.remaining_seconds -= time.monotonic() - started


QUIET_WAIT = QuietWait()


def compare(
    sides: Mapping[str, Side], *, rounds: int = 5, max_seconds: float = 60.0, quick: bool = False
) -> list[Round]:
    """Run sides in turns.

    Args:
        sides: Sides by name, in the order of their turns.
        rounds: Number of rounds without load of other processes.
        max_seconds: Time in s after which no further round replaces one with such load.
        quick: Whether to run only one round, with or without load of other processes.
    """
    completed: list[Round] = []
    started = time.monotonic()
    while len(completed) < rounds or (
        sum(map(is_undisturbed, completed)) < rounds and time.monotonic() - started < max_seconds
    ):
        completed.append(_run_round(sides, QuietWait(0) if quick else QUIET_WAIT))
        print_line(f"    round {len(completed)}: {_summarize(completed[-1])}")
        if quick:
            break
    return completed


def _run_round(sides: Mapping[str, Side], quiet_wait: QuietWait) -> Round:
    samples: Round = {}
    for name, side in sides.items():
        quiet_wait.wait_until_quiet()
        samples[name] = side()
    return samples


def is_undisturbed(samples: Round) -> bool:
    """Return whether other processes were quiet while the round ran."""
    return all(sample["others"] <= MAX_OTHER_CORES for sample in samples.values())


def undisturbed_rounds(rounds: list[Round]) -> list[Round]:
    """Return the rounds without other load; all rounds if each had some."""
    return [round_ for round_ in rounds if is_undisturbed(round_)] or rounds


def ratio(rounds: list[Round], numerator: str, denominator: str, measure: str = "wall") -> float:
    """Return the median, over the rounds, of one side's measure divided by another's."""
    ratios = [
        round_[numerator][measure] / round_[denominator][measure]
        for round_ in undisturbed_rounds(rounds)
    ]
    return float(statistics.median(ratios))


def median(rounds: list[Round], side: str, measure: str = "wall") -> float:
    """Return the median of one side's measure."""
    return float(statistics.median(round_[side][measure] for round_ in undisturbed_rounds(rounds)))


def select_sides(rounds: list[Round], *sides: str) -> list[Round]:
    """Return the rounds with only some of their sides: the samples of one of several metrics."""
    return [{side: round_[side] for side in sides} for round_ in rounds]


def _measure_other_cores() -> float:
    """Return the number of cores that other processes use now."""
    busy, own = machine_cpu_seconds(), own_cpu_seconds()
    time.sleep(_POLL_SECONDS)
    return (machine_cpu_seconds() - busy - (own_cpu_seconds() - own)) / _POLL_SECONDS


def _summarize(samples: Round) -> str:
    times = ", ".join(f"{name} {sample['wall']:.3g} s" for name, sample in samples.items())
    others = max(sample["others"] for sample in samples.values())
    return times if others <= MAX_OTHER_CORES else f"{times} (others used {others:.2f} cores)"
