"""On a GPU, where there is one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.harness import compare, median, ratio
from benchmarks.models.network import LARGE, SMALL
from benchmarks.models.package import make_packages
from benchmarks.report import say
from benchmarks.results import Result, result
from benchmarks.scenes import make_scene
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """Run a small and a large model on a scene of 16384²; yield nothing without a GPU."""
    found = run_side("gpu:available")["gpu"]
    if not found:
        say("  not run: torch finds no GPU here; the figures stay open")
        return
    scene = str(make_scene("rgb8", 2048 if quick else 16384, "deflate"))
    for architecture in (SMALL, LARGE):
        say(f"  {architecture.name} parameters on {found}")
        options: dict[str, Any] = {"package": make_packages(architecture).pt2, "scene": scene}
        sides = {side: partial(run_side, f"gpu:{side}", **options) for side in ("alone", "shard")}
        rounds = compare(sides, rounds=5, quick=quick)
        say(f"    {median(rounds, 'shard', 'tiles_per_s'):.0f} tiles a second")
        for one in rounds:
            one["shard"]["gpu"] = found
        yield result(f"gpu_{architecture.name}", ratio(rounds, "alone", "shard"), rounds)
