"""Measure the gain of batching in serving, and the overhead of a response over HTTP."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from functools import partial

from benchmarks.harness import compare, ratio, select_sides, undisturbed_rounds
from benchmarks.models.network import SMALL
from benchmarks.models.package import make_packages
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.worker import run_side

_CLIENT_COUNT = 16
_DEVICE_COSTS = {"call_ms": 20, "tile_ms": 1}


def run(*, quick: bool) -> Iterator[Result]:
    """Measure many clients and one, with an emulated device and a real model."""
    package = make_packages(SMALL).onnx
    requests_per_client = 3 if quick else 30
    side = partial(run_side, "serving:measure_http", package=package)
    device = partial(side, **_DEVICE_COSTS)

    print_line(f"  {_CLIENT_COUNT} clients of a device of {_DEVICE_COSTS['call_ms']} ms per call")
    many = partial(device, clients=_CLIENT_COUNT, requests_per_client=requests_per_client)
    sides = {"gathered": partial(many, batched=True), "alone": partial(many, batched=False)}
    rounds = compare(sides, rounds=3, quick=quick)
    yield make_result("serving_gain", ratio(rounds, "gathered", "alone", "rate"), rounds)
    batched = [one["gathered"] for one in undisturbed_rounds(rounds)]
    tail = statistics.median(sample["p95"] / sample["p50"] for sample in batched)
    yield make_result("serving_tail", tail, select_sides(rounds, "gathered"))

    print_line("  one client")
    one = partial(device, clients=1, requests_per_client=2 * requests_per_client)
    sides = {"gathered": partial(one, batched=True), "alone": partial(one, batched=False)}
    rounds = compare(sides, rounds=3, quick=quick)
    yield make_result("serving_idle", ratio(rounds, "gathered", "alone", "p50"), rounds)

    print_line(f"  one client of {SMALL.name} parameters")
    sides = {
        "http": partial(side, clients=1, requests_per_client=2 * requests_per_client),
        "alone": partial(
            run_side,
            "serving:measure_model",
            package=package,
            requests_per_client=2 * requests_per_client,
        ),
    }
    rounds = compare(sides, rounds=3, quick=quick)
    yield make_result("serving_overhead", ratio(rounds, "http", "alone", "p50"), rounds)
