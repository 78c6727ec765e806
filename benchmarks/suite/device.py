"""Measure the supply of a fast device, which takes 2 ms for a tile."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

from benchmarks.harness import compare, undisturbed_rounds
from benchmarks.models.network import SMALL
from benchmarks.models.package import make_packages
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.scenes import SceneSpec, make_scenes
from benchmarks.worker import run_side

_MS = 2


def run(*, quick: bool) -> Iterator[Result]:
    """Measure scenes of two sizes."""
    package = make_packages(SMALL).onnx
    sizes = {8192: 1024, 16384: 2048} if quick else {8192: 8192, 16384: 16384}
    specs = {name: SceneSpec("rgb8", size, "deflate") for name, size in sizes.items()}
    make_scenes(specs.values())
    for name, spec in specs.items():
        print_line(f"  a device of {_MS} ms per tile, {spec.size} x {spec.size} px")
        side = partial(run_side, "runs:shard", package=package, scene=str(spec.path), device_ms=_MS)
        rounds = compare({"swath": side}, rounds=5, quick=quick)
        share = statistics.median(
            one["swath"]["device"] / one["swath"]["wall"] for one in undisturbed_rounds(rounds)
        )
        yield make_result(f"device_{name}", share, rounds)
