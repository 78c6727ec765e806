"""Compare reading a scene of several files with its limits, WarpedVRT's windows and odc-stac."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from benchmarks.harness import compare, median, ratio, select_sides
from benchmarks.meter import Sample
from benchmarks.progress import print_line
from benchmarks.results import Result, make_result
from benchmarks.server import BUCKET, RunningServer, run_server
from benchmarks.stack_files import StackFiles, make_stack
from benchmarks.worker import run_side

_SUMMED = ("wall", "cpu", "others")


def run(*, quick: bool) -> Iterator[Result]:
    """Measure files on disk, then over latency, then the memory for higher files."""
    size = 1536 if quick else 6144
    files = make_stack(size, size)
    paths = {name: str(path) for name, path in files.paths.items()}
    print_line(f"  bands of 10, 20 and 60 m, {size} x {size} px")
    yield from _compare_local(files, paths, quick=quick)
    yield from _compare_http(files, paths, quick=quick)
    yield _memory(quick=quick)


def _compare_local(files: StackFiles, paths: dict[str, str], *, quick: bool) -> Iterator[Result]:
    size: dict[str, Any] = {"width": files.width, "height": files.height}
    sides: dict[str, Callable[[], Sample]] = {
        "decode": partial(run_side, "stacks:decode", paths=paths),
        "kernel": partial(run_side, "stacks:kernel", **size),
        "written": partial(run_side, "stacks:kernel", written=True, **size),
        "swath": partial(run_side, "stacks:swath", paths=paths),
        "warped": partial(run_side, "stacks:warped", paths=paths),
        "odc_stac": partial(run_side, "stacks:odc_stac", paths=paths),
    }
    rounds = compare(sides, rounds=5, max_seconds=90, quick=quick)
    for round_ in rounds:
        round_["limit"] = _add(round_["decode"], round_["kernel"])
        round_["written_limit"] = _add(round_["decode"], round_["written"])
    for name, side in (
        ("stack_limit", "limit"),
        ("stack_written", "written_limit"),
        ("stack_warped", "warped"),
        ("stack_odc_stac", "odc_stac"),
    ):
        yield make_result(name, ratio(rounds, side, "swath"), select_sides(rounds, side, "swath"))
    counted = run_side("stacks:swath", paths=paths, count_decodes=True)
    blocks = rounds[0]["decode"]["blocks"]
    yield make_result("stack_decodes", counted["decodes"] / blocks, [{"swath": counted}])


def _compare_http(files: StackFiles, paths: dict[str, str], *, quick: bool) -> Iterator[Result]:
    with run_server(files.folder) as server:
        print_line("  latency of 20 ms")
        sides: dict[str, Callable[[], Sample]] = {
            "decode": partial(run_side, "stacks:decode", paths=paths),
            "written": partial(
                run_side, "stacks:kernel", written=True, width=files.width, height=files.height
            ),
            "swath": partial(_read_remote, server, paths),
        }
        rounds = compare(sides, rounds=5, max_seconds=30, quick=quick)
    for round_ in rounds:
        round_["limit"] = _add(round_["decode"], round_["written"])
    yield make_result(
        "stack_http", ratio(rounds, "limit", "swath"), select_sides(rounds, "limit", "swath")
    )


def _read_remote(server: RunningServer, paths: dict[str, str]) -> Sample:
    uris = {name: f"s3://{BUCKET}/{name}.tif" for name in paths}
    return run_side(
        "stacks:swath",
        env=server.environment(),
        paths=uris,
        local=paths,
        companion_pids=[server.pid],
    )


def _memory(*, quick: bool) -> Result:
    """Compare the memory that reading adds for files and for others four times as high."""
    size = 1536 if quick else 3072
    print_line(f"  memory, {size} px wide, once and four times as high")
    sides = {}
    for times in (1, 4):
        files = make_stack(size, size * times)
        paths = {name: str(path) for name, path in files.paths.items()}
        sides[f"{times}x"] = partial(run_side, "stacks:swath", paths=paths)
    rounds = compare(sides, rounds=3, max_seconds=0, quick=quick)
    print_line(f"    it adds {median(rounds, '1x', 'added_mb'):.0f} MB")
    return make_result("stack_memory", ratio(rounds, "4x", "1x", "added_mb"), rounds)


def _add(one: Sample, other: Sample) -> Sample:
    """Return the sum of two sides that would run one after the other."""
    sample = {name: round(one[name] + other[name], 5) for name in _SUMMED}
    return sample | {"others": max(one["others"], other["others"])}
