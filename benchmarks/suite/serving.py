"""Serving: what gathering tiles into batches gains, and what an answer over HTTP costs."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

from benchmarks.harness import clean_rounds, compare, only, ratio
from benchmarks.models.network import SMALL
from benchmarks.models.package import make_packages
from benchmarks.report import say
from benchmarks.results import Result, result
from benchmarks.worker import run_side

_CLIENTS = 16
_DEVICE = {"call_ms": 20, "tile_ms": 1}


def run(*, quick: bool) -> Iterator[Result]:
    """Many clients and one, of a device stand-in and of a real model."""
    package = make_packages(SMALL).onnx
    each = 3 if quick else 30
    side = partial(run_side, "serving:answers", package=package)
    device = partial(side, **_DEVICE)

    say(f"  {_CLIENTS} clients of a device of {_DEVICE['call_ms']} ms a call")
    many = partial(device, clients=_CLIENTS, each=each)
    sides = {"gathered": partial(many, gathered=True), "alone": partial(many, gathered=False)}
    rounds = compare(sides, rounds=3, quick=quick)
    yield result("serving_gain", ratio(rounds, "gathered", "alone", "rate"), rounds)
    gathered = [one["gathered"] for one in clean_rounds(rounds)]
    tail = statistics.median(sample["p95"] / sample["p50"] for sample in gathered)
    yield result("serving_tail", tail, only(rounds, "gathered"))

    say("  one client")
    one = partial(device, clients=1, each=2 * each)
    sides = {"gathered": partial(one, gathered=True), "alone": partial(one, gathered=False)}
    rounds = compare(sides, rounds=3, quick=quick)
    yield result("serving_idle", ratio(rounds, "gathered", "alone", "p50"), rounds)

    say(f"  one client of {SMALL.name} parameters")
    sides = {
        "http": partial(side, clients=1, each=2 * each),
        "alone": partial(run_side, "serving:alone", package=package, each=2 * each),
    }
    rounds = compare(sides, rounds=3, quick=quick)
    yield result("serving_overhead", ratio(rounds, "http", "alone", "p50"), rounds)
