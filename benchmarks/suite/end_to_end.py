"""Compare a whole run with the model alone and with sahi."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.harness import compare, ratio, select_sides
from benchmarks.models.network import MEDIUM, SMALL, Architecture
from benchmarks.models.package import make_packages
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.scenes import SceneSpec, make_scene, make_scenes
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """Compare 1M parameters at 8192² and 10M at 4096², at nine times the time per tile."""
    sizes = {SMALL: 1024} if quick else {SMALL: 8192, MEDIUM: 4096}
    make_scenes([SceneSpec("rgb8", size, "deflate") for size in sizes.values()])
    for architecture, size in sizes.items():
        for runtime in ("onnx", "pt2"):
            yield _against_alone(architecture, runtime, size, quick=quick)
    yield from _against_sahi(sizes[SMALL], quick=quick)
    yield _memory(1024 if quick else 16384)


def _against_alone(architecture: Architecture, runtime: str, size: int, *, quick: bool) -> Result:
    package = getattr(make_packages(architecture), runtime)
    scene = str(make_scene("rgb8", size, "deflate"))
    print_line(f"  {architecture.name} parameters, .{runtime}, {size} x {size} px")
    sides = {
        "alone": partial(run_side, f"alone:{runtime}", package=package, scene=scene),
        "swath": partial(run_side, "runs:shard", package=package, scene=scene),
    }
    rounds = compare(sides, rounds=3, max_seconds=120, quick=quick)
    name = f"shard_{architecture.name}_{runtime}"
    return make_result(name, ratio(rounds, "alone", "swath"), rounds)


def _against_sahi(size: int, *, quick: bool) -> Iterator[Result]:
    packages = make_packages(SMALL)
    scene = str(make_scene("rgb8", size, "deflate"))
    print_line(f"  sahi, {SMALL.name} parameters, {size} x {size} px")
    options: dict[str, Any] = {"package": packages.onnx, "scene": scene}
    sides = {
        # sahi's result is that of the whole scene, so swath's merge counts here.
        "swath": partial(run_side, "runs:shard", merge=True, **options),
        "same_runtime": partial(run_side, "sahi_peer:same_runtime", **options),
        "defaults": partial(
            run_side,
            "sahi_peer:defaults",
            architecture=SMALL.name,
            weights=packages.weights,
            scene=scene,
        ),
    }
    rounds = compare(sides, rounds=3, max_seconds=0, quick=quick)
    for side in ("defaults", "same_runtime"):
        yield make_result(
            f"sahi_{side}", ratio(rounds, side, "swath"), select_sides(rounds, side, "swath")
        )


def _memory(size: int) -> Result:
    packages = make_packages(SMALL)
    options: dict[str, Any] = {
        "package": packages.onnx,
        "scene": str(make_scene("rgb8", size, "deflate")),
    }
    print_line(f"  memory beside sahi's, {size} x {size} px")
    sides = {
        "swath": partial(run_side, "runs:shard", merge=True, **options),
        "sahi": partial(run_side, "sahi_peer:same_runtime", **options),
    }
    rounds = compare(sides, rounds=1, max_seconds=0)
    return make_result("sahi_memory", ratio(rounds, "sahi", "swath", "peak_mb"), rounds)
