"""Measure the memory of shards and of planning for scenes of any size."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.harness import Round, compare, median
from benchmarks.models.network import SMALL
from benchmarks.models.package import make_packages
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.sides.runs import middle_shard
from benchmarks.virtual import VirtualScene
from benchmarks.worker import run_side, temporary_folder

_WIDTHS = (4096, 16384, 65536)
_TILES = 64
"""Number of tiles of a shard, small enough for several shards of the smallest scene."""
_DEVICE_MS = 2


def run(*, quick: bool) -> Iterator[Result]:
    """Measure shards of scenes of three widths, then the plan of a large scene."""
    package = make_packages(SMALL).onnx
    with temporary_folder() as folder:
        yield from _shards(folder, package, quick=quick)
        yield from _plan(folder, package, 20_000 if quick else 200_000, quick=quick)


def _shards(folder: Path, package: str, *, quick: bool) -> Iterator[Result]:
    print_line(
        "  a shard's memory, scenes " + ", ".join(f"{width:,}" for width in _WIDTHS) + " px wide"
    )
    sides = {}
    for width in _WIDTHS:
        scene = str(VirtualScene(width, width).write(folder / f"{width}.tif"))
        uri = _planned(scene, package, folder / f"few-{width}", _TILES)
        sides[f"{width}"] = partial(
            run_side, "runs:shard_memory", uri=uri, package=package, index=middle_shard(uri)
        )
    rounds = compare(sides, rounds=3, max_seconds=0, quick=quick)
    peaks = [median(rounds, side, "peak_mb") for side in sides]
    print_line("    " + ", ".join(f"{peak:.0f} MB" for peak in peaks))
    yield make_result("shard_memory", max(peaks) / min(peaks), rounds)
    if not quick:
        yield _large_shard(scene, package, folder)


def _large_shard(scene: str, package: str, folder: Path) -> Result:
    """Measure a shard of the size for AWS Batch, with an emulated device."""
    uri = _planned(scene, package, folder / "many", 4096)
    options: dict[str, Any] = {"uri": uri, "package": package, "index": middle_shard(uri)}
    side = partial(run_side, "runs:shard_memory", device_ms=_DEVICE_MS, **options)
    rounds = compare({"swath": side}, rounds=1, max_seconds=0)
    return make_result("batch_shard_memory", median(rounds, "swath", "peak_mb"), rounds)


def _plan(folder: Path, package: str, side: int, *, quick: bool) -> Iterator[Result]:
    print_line(f"  planning {side:,} x {side:,} px")
    scene = str(VirtualScene(side, side).write(folder / "huge.tif"))
    plan = partial(run_side, "runs:plan", scene=scene, package=package)
    repeats = range(1 if quick else 5)
    rounds: list[Round] = []
    for number in repeats:
        sides = {"swath": partial(plan, work=str(folder / f"huge-{number}"))}
        rounds += compare(sides, rounds=1, max_seconds=0)
    yield make_result("plan_time", median(rounds, "swath"), rounds)
    yield make_result("plan_memory", median(rounds, "swath", "peak_mb"), rounds)
    uri = rounds[-1]["swath"]["uri"]
    started = [
        {"swath": run_side("runs:first_tile", uri=uri, package=package, index=middle_shard(uri))}
        for _ in repeats
    ]
    yield make_result("first_tile", median(started, "swath"), started)


def _planned(scene: str, package: str, work: Path, shard_tiles: int) -> str:
    options: dict[str, Any] = {"scene": scene, "package": package, "work": str(work)}
    return str(run_side("runs:plan", shard_tiles=shard_tiles, **options)["uri"])
