"""A process that tries inputs one after the other; not a module of the tests, but a script.

Each line of its input names a target and a file, as JSON. It answers with a line for each outcome,
and then with one that says how long it took and how much memory there was at most. A signal ends it
without that line, and whoever reads knows which input did so.
"""

import json
import logging
import os
import resource
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

from targets import TARGETS, Outcome

ADDRESS_SPACE = 6 << 30
"""Bytes. An input that would need more must not take the machine with it."""


def main() -> None:
    """Try what is asked until the input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    # Libraries write to both; nobody reads that.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    logging.disable()
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    for line in sys.stdin:
        target, path = json.loads(line)
        Path("/proc/self/clear_refs").write_text("5")  # the most memory is counted anew
        before, started = _most_memory(), time.monotonic()
        first = None
        for outcome in outcomes(target, path):
            first = first if first is not None else time.monotonic() - started
            memory = _most_memory() - before
            print(json.dumps([outcome.kind, outcome.text, first, memory]), file=answers)
        print(json.dumps(None), file=answers)


def outcomes(target: str, path: str) -> Iterator[Outcome]:
    """Try an input; an error that is not of swath's own doing is one of this script."""
    try:
        yield from TARGETS[target](Path(path))
    except Exception as error:  # noqa: BLE001 (nobody would see it)
        yield Outcome("script", repr(error))


def _most_memory() -> int:
    """Return the most resident memory of this process since it was last counted anew, in bytes."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


if __name__ == "__main__":
    main()
