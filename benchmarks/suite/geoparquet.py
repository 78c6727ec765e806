"""Measure writing a million detections."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import compare, ratio
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """Compare swath with pyarrow, which writes the same table without making or sorting it."""
    count = 20_000 if quick else 1_000_000
    run_side("boxes:draw", count=count)
    print_line(f"  {count:,} detections")
    sides = {
        side: partial(run_side, f"writing:{side}", count=count)
        for side in ("pyarrow", "geoparquet")
    }
    rounds = compare(sides, rounds=7, quick=quick)
    yield make_result("geoparquet", ratio(rounds, "pyarrow", "geoparquet"), rounds)
