"""Measure a run on a GPU, if there is one."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.harness import compare, median, ratio
from benchmarks.models.network import LARGE, SMALL
from benchmarks.models.package import make_packages
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.scenes import make_scene
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """Run a small and a large model on a scene of 16384²; yield nothing without a GPU."""
    gpu = run_side("gpu:detect_gpu")["gpu"]
    if not gpu:
        print_line("  not run: torch detects no GPU, so these metrics are not measured")
        return
    scene = str(make_scene("rgb8", 2048 if quick else 16384, "deflate"))
    for architecture in (SMALL, LARGE):
        print_line(f"  {architecture.name} parameters on {gpu}")
        options: dict[str, Any] = {"package": make_packages(architecture).pt2, "scene": scene}
        sides = {side: partial(run_side, f"gpu:{side}", **options) for side in ("alone", "shard")}
        rounds = compare(sides, rounds=5, quick=quick)
        print_line(f"    {median(rounds, 'shard', 'tiles_per_s'):.0f} tiles per second")
        for one in rounds:
            one["shard"]["gpu"] = gpu
        yield make_result(f"gpu_{architecture.name}", ratio(rounds, "alone", "shard"), rounds)
