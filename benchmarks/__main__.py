"""Run all benchmarks, or those whose names begin with NAME: `python -m benchmarks [NAME …]`."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence

from benchmarks.progress import print_line
from benchmarks.results import RESULTS_FOLDER, Result, read_results
from benchmarks.table import PAGE_PATH, terminal_lines, update_page
from benchmarks.worker import ROOT

SUITE = (
    "reading_local",
    "reading_http",
    "stacks",
    "merge",
    "polygons",
    "end_to_end",
    "device",
    "geoparquet",
    "database",
    "memory",
    "planning",
    "serving",
    "gpu",
)


def main(arguments: Sequence[str]) -> None:
    """Run the selected benchmarks, write their results and print a summary."""
    options = _parse_arguments(arguments)
    selected = select_benchmarks(options.names)
    if options.quick:
        print_line(
            "quick: small scenes, one round each. The results mean nothing and are not stored."
        )
    results: list[Result] = []
    for number, name in enumerate(selected, 1):
        print_line(f"[{number}/{len(selected)}] {name}")
        results += _run(name, quick=options.quick)
    print_line("")
    for line in terminal_lines(results):
        print_line(line)
    if options.quick:
        return
    update_page(read_results())
    print_line(f"\nWritten: {RESULTS_FOLDER.relative_to(ROOT)} and {PAGE_PATH.relative_to(ROOT)}.")


def select_benchmarks(names: Sequence[str]) -> list[str]:
    """Return the benchmarks whose names begin with one of `names`; all without names.

    Raises:
        ValueError: No benchmark's name begins with one of `names`.
    """
    for name in names:
        if not any(known.startswith(name) for known in SUITE):
            raise ValueError(
                f"there is no benchmark {name!r}; the benchmarks are {', '.join(SUITE)}"
            )
    return [known for known in SUITE if not names or known.startswith(tuple(names))]


def _run(name: str, *, quick: bool) -> list[Result]:
    started = time.monotonic()
    results: list[Result] = []
    for result in importlib.import_module(f"benchmarks.suite.{name}").run(quick=quick):
        results.append(result)
        if not quick:
            result.write()
        print_line(terminal_lines([result])[0])
    print_line(f"  took {time.monotonic() - started:.0f} s")
    return results


def _parse_arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUITE))
    parser.add_argument(
        "--quick", action="store_true", help="run the scripts on small scenes without results"
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
