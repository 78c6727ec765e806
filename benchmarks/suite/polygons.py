"""Making polygons of label rasters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import compare, ratio
from benchmarks.report import say
from benchmarks.results import Result, result
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """Three kinds of raster, each through swath and through GDAL."""
    for pattern in ("fields", "objects", "speckle"):
        say(f"  {pattern}")
        sides = {
            side: partial(run_side, f"polygons:{side}", pattern=pattern)
            for side in ("swath", "gdal")
        }
        rounds = compare(sides, rounds=5, quick=quick)
        counts = {sample["polygons"] for one in rounds for sample in one.values()}
        if len(counts) != 1:
            raise RuntimeError(f"the sides made different numbers of polygons: {counts}")
        yield result(f"polygons_{pattern}", ratio(rounds, "gdal", "swath"), rounds)
