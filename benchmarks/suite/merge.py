"""Measure merging a million boxes."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

from benchmarks.harness import compare, ratio, select_sides, undisturbed_rounds
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """Compare the peers at full size, and swath also at a tenth of the size."""
    count = 20_000 if quick else 1_000_000
    few = count // 10
    print_line(f"  {count:,} boxes")
    for size in (count, few):
        run_side("boxes:draw", count=size)
    sides = {
        "swath": partial(run_side, "merging:swath", count=count),
        "sahi": partial(run_side, "merging:sahi", count=count),
        "lsnms": partial(run_side, "merging:lsnms", count=count),
    }
    rounds = compare(sides, rounds=3, max_seconds=0, quick=quick)
    yield make_result(
        "merge_sahi", ratio(rounds, "sahi", "swath"), select_sides(rounds, "sahi", "swath")
    )
    yield make_result(
        "merge_lsnms", ratio(rounds, "lsnms", "swath"), select_sides(rounds, "lsnms", "swath")
    )
    swath = select_sides(rounds, "swath")
    added = max(one["swath"]["added_mb"] for one in undisturbed_rounds(swath))
    yield make_result("merge_memory", added, swath)
    growing = {
        "few": partial(run_side, "merging:swath", count=few, repeats=7),
        "many": partial(run_side, "merging:swath", count=count, repeats=3),
    }
    rounds = compare(growing, rounds=5, quick=quick)
    exponent = math.log(ratio(rounds, "many", "few")) / math.log(count / few)
    yield make_result("merge_exponent", exponent, rounds)
