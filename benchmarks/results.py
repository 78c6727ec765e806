"""Result files: `benchmarks/results/NAME.json`, one a figure."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.figures import FIGURES, Better, Figure
from benchmarks.harness import Round
from benchmarks.machine import describe_machine
from benchmarks.worker import ROOT

RESULTS = ROOT / "benchmarks" / "results"
_DIGITS = 4


@dataclass(frozen=True, slots=True)
class Result:
    """Result of one figure."""

    name: str
    value: float
    goal: float
    better: Better
    samples: Sequence[Round]
    machine: dict[str, Any]

    @property
    def figure(self) -> Figure:
        """Figure that was measured."""
        return FIGURES[self.name]

    @property
    def met(self) -> bool:
        """Tell whether the goal is reached."""
        return self.figure.met(self.value)

    def write(self, folder: Path = RESULTS) -> None:
        """Write the file, over an earlier one."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1) + "\n"
        (folder / f"{self.name}.json").write_text(text)


def result(name: str, value: float, samples: Sequence[Round]) -> Result:
    """Return a result on this machine.

    Args:
        name: of the figure.
        value: what came out.
        samples: all that it was made of, round by round, side by side.
    """
    figure = FIGURES[name]
    rounded = float(f"{value:.{_DIGITS}g}")
    return Result(name, rounded, figure.goal, figure.better, samples, describe_machine())


def read_results(folder: Path = RESULTS) -> dict[str, Result]:
    """Read all results, by name, in the order of the figures."""
    files = {name: folder / f"{name}.json" for name in FIGURES}
    return {
        name: Result(**json.loads(file.read_text()))
        for name, file in files.items()
        if file.exists()
    }
