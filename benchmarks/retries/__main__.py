"""Simulate the retry policies for several loads: `python -m benchmarks.retries [--seeds N]`.

The retriers are those of the synthesized state machine. The command prints a Markdown table with a
row for each load.
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

from benchmarks.progress import print_line
from benchmarks.retries.simulation import Load, Outcome, Step, read_steps, simulate
from infra.app import build_app
from infra.check import state_machine
from swath.settings import PlanSettings

TILES_PER_SCENE = 2_000
# US dollars for a state transition: https://aws.amazon.com/step-functions/pricing/
TRANSITION_PRICE = 0.025 / 1_000
_MINUTE, _HOUR = 60, 3_600
_COLUMN_NAMES = (
    "scenes",
    "slots",
    "seconds per shard",
    "failed runs",
    "95% wait at most",
    "last run ends after",
    "transitions for waiting",
    "USD",
)


def list_loads() -> list[Load]:
    """Return the loads: 1 and 50 scenes of 2,000 tiles, 10 and 1,000 slots, 5 to 60 s per shard."""
    per_shard = PlanSettings(work_uri="").lambda_shard_tiles
    return [
        Load(
            scenes=scenes,
            shards=-(-TILES_PER_SCENE // per_shard),
            lambda_slots=lambda_slots,
            shard_seconds=seconds,
        )
        for scenes in (1, 50)
        for lambda_slots in (10, 1_000)
        for seconds in (5, 20, 60)
    ]


def read_deployed_steps() -> list[Step]:
    """Return the steps of a run on Lambda, from the template that `cdk deploy` would deploy."""
    with tempfile.TemporaryDirectory(prefix="swath-retries-") as folder:
        build_app(folder).synth()
        (template,) = Path(folder).glob("*.template.json")
        machine: dict[str, Any] = state_machine(json.loads(template.read_text(encoding="utf-8")))
    return read_steps(machine)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """Summary of a load over all seeds: sums of runs and failures, means of the other values."""

    load: Load
    runs: int
    failed: int
    wait_seconds: float
    total_seconds: float
    retries: float

    @classmethod
    def from_outcomes(cls, load: Load, outcomes: Sequence[Outcome]) -> Row:
        """Summarize the outcomes of a load."""
        count = len(outcomes)
        return cls(
            load=load,
            runs=count * load.scenes,
            failed=sum(outcome.failed for outcome in outcomes),
            wait_seconds=sum(outcome.wait_percentile(0.95) for outcome in outcomes) / count,
            total_seconds=sum(outcome.total_seconds for outcome in outcomes) / count,
            retries=sum(outcome.retries for outcome in outcomes) / count,
        )

    def cells(self) -> list[str]:
        """Return the row's cells, in the order of the column names."""
        return [
            f"{self.load.scenes}",
            f"{self.load.lambda_slots:,}",
            f"{self.load.shard_seconds:.0f}",
            f"{self.failed} of {self.runs:,}",
            _format_duration(self.wait_seconds),
            _format_duration(self.total_seconds),
            f"{self.retries:,.0f}",
            f"{self.retries * TRANSITION_PRICE:.2f}",
        ]


def main(arguments: Sequence[str]) -> None:
    """Simulate every load over the seeds, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.retries", description=__doc__)
    parser.add_argument("--seeds", type=int, default=100, help="runs of each load, by default 100")
    seeds = parser.parse_args(arguments).seeds
    run = read_deployed_steps()
    print_line(_format_row(_COLUMN_NAMES))
    print_line(_format_row("---" for _ in _COLUMN_NAMES))
    for load in list_loads():
        row = Row.from_outcomes(load, [simulate(run, load, seed) for seed in range(seeds)])
        print_line(_format_row(row.cells()))


def _format_row(cells: Any) -> str:
    return f"| {' | '.join(cells)} |"


def _format_duration(seconds: float) -> str:
    if seconds < 2 * _MINUTE:
        return f"{seconds:.0f} s"
    if seconds < 2 * _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    return f"{seconds / _HOUR:.1f} h"


if __name__ == "__main__":
    main(sys.argv[1:])
