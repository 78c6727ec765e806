"""Read and write the result files: `benchmarks/results/NAME.json`, one for each metric."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import Round
from benchmarks.machine import describe_machine
from benchmarks.metrics import METRICS, Better, Metric
from benchmarks.worker import ROOT

RESULTS_FOLDER = ROOT / "benchmarks" / "results"
_SIGNIFICANT_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one metric."""

    name: str
    value: float
    goal: float
    better: Better
    samples: Sequence[Round]
    machine: dict[str, Any]

    @property
    def metric(self) -> Metric:
        """Metric that was measured."""
        return METRICS[self.name]

    @property
    def is_met(self) -> bool:
        """Whether the goal is reached."""
        return self.metric.is_met(self.value)

    def write(self, folder: Path = RESULTS_FOLDER) -> None:
        """Write the file, and replace an earlier one."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1) + "\n"
        (folder / f"{self.name}.json").write_text(text)


def make_result(name: str, value: float, samples: Sequence[Round]) -> Result:
    """Return a result on this machine.

    Args:
        name: Name of the metric.
        value: Value of the metric.
        samples: Samples from which the value was computed, by round and side.
    """
    metric = METRICS[name]
    rounded = float(f"{value:.{_SIGNIFICANT_DIGITS}g}")
    return Result(name, rounded, metric.goal, metric.better, samples, describe_machine())


def read_results(folder: Path = RESULTS_FOLDER) -> dict[str, Result]:
    """Read all results by name, in the order of the metrics."""
    files = {name: folder / f"{name}.json" for name in METRICS}
    return {
        name: Result(**json.loads(file.read_text()))
        for name, file in files.items()
        if file.exists()
    }
