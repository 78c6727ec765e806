"""A scene through a model: against the model alone, and against sahi."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from benchmarks.harness import compare, only, ratio
from benchmarks.models.network import MEDIUM, SMALL, Architecture
from benchmarks.models.package import make_packages
from benchmarks.report import say
from benchmarks.results import Result, result
from benchmarks.scenes import SceneSpec, make_scene, make_scenes
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """1M parameters at 8192², 10M at 4096² (it takes nine times as long a tile), and sahi."""
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
    say(f"  {architecture.name} parameters, .{runtime}, {size} x {size} px")
    sides = {
        "alone": partial(run_side, f"alone:{runtime}", package=package, scene=scene),
        "swath": partial(run_side, "runs:shard", package=package, scene=scene),
    }
    rounds = compare(sides, rounds=3, budget=120, quick=quick)
    name = f"shard_{architecture.name}_{runtime}"
    return result(name, ratio(rounds, "alone", "swath"), rounds)


def _against_sahi(size: int, *, quick: bool) -> Iterator[Result]:
    packages = make_packages(SMALL)
    scene = str(make_scene("rgb8", size, "deflate"))
    say(f"  sahi, {SMALL.name} parameters, {size} x {size} px")
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
    rounds = compare(sides, rounds=3, budget=0, quick=quick)
    for side in ("defaults", "same_runtime"):
        yield result(f"sahi_{side}", ratio(rounds, side, "swath"), only(rounds, side, "swath"))


def _memory(size: int) -> Result:
    packages = make_packages(SMALL)
    options: dict[str, Any] = {
        "package": packages.onnx,
        "scene": str(make_scene("rgb8", size, "deflate")),
    }
    say(f"  memory beside sahi's, {size} x {size} px")
    sides = {
        "swath": partial(run_side, "runs:shard", merge=True, **options),
        "sahi": partial(run_side, "sahi_peer:same_runtime", **options),
    }
    rounds = compare(sides, rounds=1, budget=0)
    return result("sahi_memory", ratio(rounds, "sahi", "swath", "peak_mb"), rounds)
