"""Measure polygonizing label rasters."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import compare, ratio
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """Compare swath and GDAL on three kinds of raster."""
    for pattern in ("fields", "objects", "speckle"):
        print_line(f"  {pattern}")
        sides = {
            side: partial(run_side, f"polygons:{side}", pattern=pattern)
            for side in ("swath", "gdal")
        }
        rounds = compare(sides, rounds=5, quick=quick)
        counts = {sample["polygons"] for one in rounds for sample in one.values()}
        if len(counts) != 1:
            raise RuntimeError(f"swath and GDAL made different numbers of polygons: {counts}")
        yield make_result(f"polygons_{pattern}", ratio(rounds, "gdal", "swath"), rounds)
