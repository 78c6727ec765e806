"""Measure reading from a store with a latency of 20 ms."""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rasterio

from benchmarks.harness import Round, compare, ratio, select_sides, undisturbed_rounds
from benchmarks.meter import Sample
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.scenes import make_scene
from benchmarks.server import BUCKET, RunningServer, run_server
from benchmarks.sides.reading import block_ranges
from benchmarks.worker import run_side

ByteRanges = list[tuple[int, int]]


def run(*, quick: bool) -> Iterator[Result]:
    """Read one scene from a server that records the requests."""
    path = make_scene("rgb8", 2048 if quick else 8192, "deflate")
    with rasterio.open(path) as scene:
        ranges = block_ranges(scene)
        rows = -(-scene.height // scene.block_shapes[0][0])
    with run_server(path.parent) as server:
        print_line(f"  {path.name}, latency of 20 ms")
        sides = _sides(server, path, ranges)
        rounds = compare(sides, rounds=5, quick=quick)
        decode_counts = [{"swath": _count_decodes(server, path)}]
    for round_ in rounds:
        round_["limit"] = max(
            round_["network"], round_["decode"], key=lambda sample: sample["wall"]
        )
    yield make_result(
        "http_vsicurl", ratio(rounds, "vsicurl", "swath"), select_sides(rounds, "vsicurl", "swath")
    )
    limit_rounds = select_sides(rounds, "network", "decode", "limit", "swath")
    yield make_result("http_limit", ratio(limit_rounds, "limit", "swath"), limit_rounds)
    swath = select_sides(rounds, "swath")
    for round_ in rounds:
        round_["cores"] = _share_cores(round_["network"], round_["decode"])
    cores_rounds = select_sides(rounds, "network", "decode", "cores", "swath")
    yield make_result("http_cores", ratio(cores_rounds, "cores", "swath"), cores_rounds)
    yield make_result("http_gets", _count_gets(swath, ranges) / rows, swath)
    yield make_result("http_bytes", _count_bytes(swath) / sum(count for _, count in ranges), swath)
    decodes = decode_counts[0]["swath"]["decodes"]
    if decodes < len(ranges):
        raise RuntimeError(f"{decodes} of {len(ranges)} blocks were decoded in the counting run")
    yield make_result("http_decodes", decodes / len(ranges), decode_counts)


def _sides(
    server: RunningServer, path: Path, ranges: ByteRanges
) -> dict[str, Callable[[], Sample]]:
    url = f"{server.address}/{BUCKET}/{path.name}"
    start, stop = min(start for start, _ in ranges), max(sum(byte_range) for byte_range in ranges)
    companion_pids = [server.pid]

    def counted_run(side: str, **arguments: Any) -> Sample:
        server.take_requests()
        sample = run_side(
            side, env=server.environment(), companion_pids=companion_pids, **arguments
        )
        return sample | {"asked": server.take_requests()}

    return {
        "network": lambda: counted_run("reading:network", url=url, start=start, stop=stop),
        "decode": lambda: run_side("reading:limit", path=str(path)),
        "swath": lambda: counted_run(
            "reading:swath", path=f"s3://{BUCKET}/{path.name}", local=str(path)
        ),
        "vsicurl": lambda: counted_run("reading:windows", path=f"/vsicurl/{url}", local=str(path)),
    }


def _share_cores(network: Sample, decode: Sample) -> Sample:
    """Return the least time in which the cores can serve, receive and decode the blocks.

    The server runs on the same cores. The time is the CPU time of all of this work, divided by the
    number of cores.
    """
    cpu = network["cpu"] + network["companion_cpu"] + decode["cpu"]
    others = max(network["others"], decode["others"])
    return {"wall": round(cpu / (os.cpu_count() or 1), 5), "cpu": cpu, "others": others}


def _count_decodes(server: RunningServer, path: Path) -> Sample:
    uri = f"s3://{BUCKET}/{path.name}"
    return run_side(
        "reading:swath",
        env=server.environment(),
        path=uri,
        local=str(path),
        count_decodes=True,
    )


def _count_gets(rounds: list[Round], ranges: ByteRanges) -> float:
    """Return the median number of GETs that read blocks, without those of the header."""
    first = min(start for start, _ in ranges)
    gets = [
        sum(
            method == "GET" and start + count > first
            for method, start, count in round_["swath"]["asked"]
        )
        for round_ in undisturbed_rounds(rounds)
    ]
    return float(statistics.median(gets))


def _count_bytes(rounds: list[Round]) -> float:
    """Return the median number of bytes that were sent."""
    sent = [
        sum(count for *_, count in round_["swath"]["asked"])
        for round_ in undisturbed_rounds(rounds)
    ]
    return float(statistics.median(sent))
