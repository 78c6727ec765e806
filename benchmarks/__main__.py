"""`python -m benchmarks [NAME …] [--quick]`: all benchmarks, or those whose names begin so."""

from __future__ import annotations

import argparse
import importlib
import sys
import time
from collections.abc import Sequence

from benchmarks.report import say
from benchmarks.results import RESULTS, Result, read_results
from benchmarks.table import PAGE, plain_lines, update_page
from benchmarks.worker import ROOT

SUITE = (
    "reading_local",
    "reading_http",
    "merge",
    "polygons",
    "end_to_end",
    "device",
    "geoparquet",
    "memory",
    "serving",
    "gpu",
)


def main(arguments: Sequence[str]) -> None:
    """Run what is asked for, write the results, and say what came out."""
    options = _parse(arguments)
    chosen = choose(options.names)
    if options.quick:
        say("quick: small scenes, one round each. The numbers mean nothing and are not kept.")
    results: list[Result] = []
    for number, name in enumerate(chosen, 1):
        say(f"[{number}/{len(chosen)}] {name}")
        results += _run(name, quick=options.quick)
    say("")
    for line in plain_lines(results):
        say(line)
    if options.quick:
        return
    update_page(read_results())
    say(f"\nIn {RESULTS.relative_to(ROOT)} and {PAGE.relative_to(ROOT)}.")


def choose(names: Sequence[str]) -> list[str]:
    """Return the benchmarks whose names begin with one of `names`; all without names.

    Raises:
        ValueError: a name fits nothing.
    """
    for name in names:
        if not any(one.startswith(name) for one in SUITE):
            raise ValueError(f"there is no benchmark {name!r}; there are {', '.join(SUITE)}")
    return [one for one in SUITE if not names or one.startswith(tuple(names))]


def _run(name: str, *, quick: bool) -> list[Result]:
    started = time.monotonic()
    found: list[Result] = []
    for one in importlib.import_module(f"benchmarks.suite.{name}").run(quick=quick):
        found.append(one)
        if not quick:
            one.write()
        say(plain_lines([one])[0])
    say(f"  took {time.monotonic() - started:.0f} s")
    return found


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench ARGS=…", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(SUITE))
    parser.add_argument("--quick", action="store_true", help="try the scripts, measure nothing")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
