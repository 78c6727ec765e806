"""Compare the seconds that `swath plan` forecasts with those of the runs that follow."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from functools import partial

from benchmarks.harness import Round, compare, select_sides, undisturbed_rounds
from benchmarks.meter import Sample
from benchmarks.models.network import SMALL
from benchmarks.models.package import make_packages
from benchmarks.planning_scenes import PlannedScene, make_planned_scenes
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.worker import ROOT, run_side

TOLERANCE = 0.3
"""Largest deviation of a forecast's seconds from those of the run, as a share of the latter."""
_CALIBRATED = {"small": "larger", "ships": "busan"}
"""Name of the scene that calibrates the machine for each model."""


def run(*, quick: bool) -> Iterator[Result]:
    """Forecast and run twenty scenes; each round calibrates again, just before the runs."""
    packages = {"small": make_packages(SMALL).onnx, "ships": str(ROOT / "models" / "ships")}
    scenes = make_planned_scenes(quick=quick)
    print_line(f"  {len(scenes)} scenes")
    sides: dict[str, Callable[[], Sample]] = {}
    for model, package in packages.items():
        own = [scene for scene in scenes if scene.model == model]
        named = {scene.name: scene.files for scene in own}
        calibrated = _CALIBRATED[model] if _CALIBRATED[model] in named else own[0].name
        sides[_forecast_side(model)] = partial(
            run_side, "planning:forecast", package=package, scenes=named, calibrated=calibrated
        )
        for scene in own:
            sides[scene.name] = partial(
                run_side, "planning:run", package=package, files=scene.files
            )
    rounds = compare(sides, rounds=3, max_seconds=0, quick=quick)
    ratios = {scene.name: _ratio(scene, rounds) for scene in scenes}
    for name, ratio in ratios.items():
        print_line(f"    {name}: {ratio:.2f}")
    errors = [abs(ratio - 1) for ratio in ratios.values()]
    yield make_result("planning_error", max(errors), rounds)
    yield make_result(
        "planning_share", sum(error <= TOLERANCE for error in errors) / len(errors), rounds
    )


def _ratio(scene: PlannedScene, rounds: Sequence[Round]) -> float:
    """Return the median, over the rounds, of the seconds of the forecast divided by the run's.

    Raises:
        RuntimeError: The tiles of a forecast are not those of its run.
    """
    side = _forecast_side(scene.model)
    ratios = []
    for round_ in undisturbed_rounds(select_sides([*rounds], side, scene.name)):
        forecast, ran = round_[side]["forecasts"][scene.name], round_[scene.name]
        if forecast["tiles"] != ran["tiles"]:
            raise RuntimeError(f"{scene.name}: {forecast} was forecast, and {ran} was run")
        ratios.append(forecast["seconds"] / ran["wall"])
    return float(statistics.median(ratios))


def _forecast_side(model: str) -> str:
    return f"forecasts, {model}"
