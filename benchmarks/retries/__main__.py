"""`python -m benchmarks.retries [--seeds N]`: what the retry policies do where slots are few.

The retriers are those of the synthesized state machine. Prints one row a load, as Markdown.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import say
from benchmarks.retries.simulation import Load, Outcome, Step, simulate, steps
from infra.app import build_app
from infra.check import state_machine
from swath.settings import PlanSettings

TILES = 2_000
# US dollars for a state transition: https://aws.amazon.com/step-functions/pricing/
TRANSITION_PRICE = 0.025 / 1_000
_MINUTE, _HOUR = 60, 3_600
_HEAD = (
    "scenes",
    "slots",
    "seconds a shard",
    "failed runs",
    "95% wait at most",
    "last run ends after",
    "transitions for waiting",
    "USD",
)


def loads() -> list[Load]:
    """Return what is simulated: 1 and 50 scenes of 2,000 tiles, 10 and 1,000 slots, 5 to 60 s."""
    per_shard = PlanSettings(work_uri="").lambda_shard_tiles
    return [
        Load(scenes=scenes, shards=-(-TILES // per_shard), slots=slots, seconds=seconds)
        for scenes in (1, 50)
        for slots in (10, 1_000)
        for seconds in (5, 20, 60)
    ]


def deployed() -> list[Step]:
    """Return the steps of a run on Lambda, from the template that `cdk deploy` would deploy."""
    with tempfile.TemporaryDirectory(prefix="swath-retries-") as folder:
        build_app(folder).synth()
        (template,) = Path(folder).glob("*.template.json")
        machine: dict[str, Any] = state_machine(json.loads(template.read_text(encoding="utf-8")))
    return steps(machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Summary of a load over all seeds: sums of failures, means of the rest."""

    load: Load
    runs: int
    failed: int
    wait: float
    longest: float
    retries: float

    @classmethod
    def of(cls, load: Load, outcomes: Sequence[Outcome]) -> Row:
        """Sum outcomes up."""
        count = len(outcomes)
        return cls(
            load=load,
            runs=count * load.scenes,
            failed=sum(one.failed for one in outcomes),
            wait=sum(one.percentile(0.95) for one in outcomes) / count,
            longest=sum(one.longest for one in outcomes) / count,
            retries=sum(one.retries for one in outcomes) / count,
        )

    def cells(self) -> list[str]:
        """Return the row's cells, in the order of the head."""
        return [
            f"{self.load.scenes}",
            f"{self.load.slots:,}",
            f"{self.load.seconds:.0f}",
            f"{self.failed} of {self.runs:,}",
            _duration(self.wait),
            _duration(self.longest),
            f"{self.retries:,.0f}",
            f"{self.retries * TRANSITION_PRICE:.2f}",
        ]


def main(arguments: Sequence[str]) -> None:
    """Simulate every load over the seeds, and print what came of it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retries", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="how often, by default 100")
    seeds = parser.parse_args(arguments).seeds
    run = deployed()
    say(_line(_HEAD))
    say(_line("---" for _ in _HEAD))
    for load in loads():
        row = Row.of(load, [simulate(run, load, seed) for seed in range(seeds)])
        say(_line(row.cells()))


def _line(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"


if __name__ == "__main__":
    main(sys.argv[1:])
