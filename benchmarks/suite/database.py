"""Measure loading a run into PostGIS, and migrating a database in place."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.harness import compare, ratio
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.worker import run_side


def run(*, quick: bool) -> Iterator[Result]:
    """Compare a load with the bare COPY of its rows, then migrate."""
    count = 20_000 if quick else 500_000
    sides = {side: partial(run_side, f"loading:{side}", count=count) for side in ("copy", "load")}
    rounds = compare(sides, rounds=5, quick=quick)
    yield make_result("load_limit", ratio(rounds, "copy", "load"), rounds)
    print_line("  migration in place, with three restarts")
    sample = run_side("loading:migration", count=100_000 if quick else 5_000_000)
    rounds = [{"migration": sample}]
    yield make_result("migration_rate", sample["rows"] / sample["wall"] / 1000, rounds)
    yield make_result("migration_wait", sample["longest_wait"], rounds)
