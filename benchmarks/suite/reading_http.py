"""Reading from a store that is 20 ms away."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import rasterio

from benchmarks.harness import Round, clean_rounds, compare, only, ratio
from benchmarks.meter import Sample
from benchmarks.report import say
from benchmarks.results import Result, result
from benchmarks.scenes import make_scene
from benchmarks.server import BUCKET, Endpoint, serving
from benchmarks.sides.reading import block_places
from benchmarks.worker import run_side

Places = list[tuple[int, int]]


def run(*, quick: bool) -> Iterator[Result]:
    """One scene, from a server that counts."""
    path = make_scene("rgb8", 2048 if quick else 8192, "deflate")
    with rasterio.open(path) as scene:
        places = block_places(scene)
        rows = -(-scene.height // scene.block_shapes[0][0])
    with serving(path.parent) as endpoint:
        say(f"  {path.name}, 20 ms away")
        sides = _sides(endpoint, path, places)
        rounds = compare(sides, rounds=5, quick=quick)
        counted = [{"swath": _counted(endpoint, path)}]
    for one in rounds:
        one["limit"] = max(one["network"], one["decode"], key=lambda sample: sample["wall"])
    yield result(
        "http_vsicurl", ratio(rounds, "vsicurl", "swath"), only(rounds, "vsicurl", "swath")
    )
    against = only(rounds, "network", "decode", "limit", "swath")
    yield result("http_limit", ratio(against, "limit", "swath"), against)
    swath = only(rounds, "swath")
    yield result("http_gets", _gets(swath, places) / rows, swath)
    yield result("http_bytes", _bytes(swath) / sum(count for _, count in places), swath)
    decodes = counted[0]["swath"]["decodes"]
    if decodes < len(places):
        raise RuntimeError(f"{decodes} of {len(places)} blocks were decoded where it is counted")
    yield result("http_decodes", decodes / len(places), counted)


def _sides(endpoint: Endpoint, path: Path, places: Places) -> dict[str, Callable[[], Sample]]:
    url = f"{endpoint.address}/{BUCKET}/{path.name}"
    start, stop = min(start for start, _ in places), max(sum(place) for place in places)
    companions = [endpoint.pid]

    def counting(side: str, **arguments: Any) -> Sample:
        endpoint.counts()
        sample = run_side(side, env=endpoint.environment(), companions=companions, **arguments)
        return sample | {"asked": endpoint.counts()}

    return {
        "network": lambda: counting("reading:network", url=url, start=start, stop=stop),
        "decode": lambda: run_side("reading:limit", path=str(path)),
        "swath": lambda: counting(
            "reading:swath", path=f"s3://{BUCKET}/{path.name}", local=str(path)
        ),
        "vsicurl": lambda: counting("reading:windows", path=f"/vsicurl/{url}", local=str(path)),
    }


def _counted(endpoint: Endpoint, path: Path) -> Sample:
    uri = f"s3://{BUCKET}/{path.name}"
    return run_side(
        "reading:swath",
        env=endpoint.environment(),
        path=uri,
        local=str(path),
        count_decodes=True,
    )


def _gets(rounds: list[Round], places: Places) -> float:
    """Return the GETs that reach into the blocks, without those of the header."""
    first = min(start for start, _ in places)
    gets = [
        sum(
            method == "GET" and start + count > first
            for method, start, count in one["swath"]["asked"]
        )
        for one in clean_rounds(rounds)
    ]
    return float(statistics.median(gets))


def _bytes(rounds: list[Round]) -> float:
    """Bytes that were sent."""
    sent = [sum(count for *_, count in one["swath"]["asked"]) for one in clean_rounds(rounds)]
    return float(statistics.median(sent))
