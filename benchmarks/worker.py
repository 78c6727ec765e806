"""One side of a comparison in a process of its own, so that none inherits another's memory.

`python -m benchmarks.worker MODULE:FUNCTION RESULT ARGUMENTS` calls the function with the arguments
(JSON) and writes what it returns to the file RESULT.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.meter import Sample

ROOT = Path(__file__).resolve().parents[1]
_LINES = 15
_TIMEOUT = 900
"""s; a side that hangs must not hang the rest."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        yield Path(folder)


def run_side(side: str, *, env: Mapping[str, str] | None = None, **arguments: Any) -> Sample:
    """Call a side in a fresh process and return what it returns.

    Args:
        side: MODULE:FUNCTION within `benchmarks.sides`; the function measures by itself the part
            that counts.
        env: additions to the environment.
        arguments: what JSON can carry.

    Raises:
        RuntimeError: the process failed; the message ends with what it said last.
    """
    name = f"benchmarks.sides.{side}"
    with temporary_folder() as folder:
        result = folder / "result.json"
        command = [sys.executable, "-m", "benchmarks.worker", name, str(result)]
        done = subprocess.run(
            [*command, json.dumps(arguments)],
            cwd=ROOT,
            env=os.environ | (env or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT,
        )
        if done.returncode:
            said = "\n".join(done.stderr.splitlines()[-_LINES:])
            raise RuntimeError(f"{side} ended with {done.returncode}:\n{said}")
        sample: Sample = json.loads(result.read_text())
    return sample


def main(name: str, result: str, arguments: str) -> None:
    """Run one side here."""
    module, _, function = name.partition(":")
    sample = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    Path(result).write_text(json.dumps(sample))


if __name__ == "__main__":
    main(*sys.argv[1:])
    # The result is written. Threads of some peers crash an interpreter that ends in good order.
    os._exit(0)
