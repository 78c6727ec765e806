"""Run one side of a comparison in its own process, so that no side inherits another's memory.

`python -m benchmarks.worker MODULE:FUNCTION RESULT ARGUMENTS` calls the function with the arguments
(JSON) and writes its result to the file RESULT.
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
_MAX_ERROR_LINES = 15
_TIMEOUT_SECONDS = 900
"""Timeout in s, so that a side that hangs does not stop the others."""


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="swath-bench-") as folder:
        yield Path(folder)


def run_side(side: str, *, env: Mapping[str, str] | None = None, **arguments: Any) -> Sample:
    """Call a side in a fresh process and return its result.

    Args:
        side: MODULE:FUNCTION within `benchmarks.sides`; the function measures itself.
        env: Additional environment variables.
        arguments: Arguments of the function, which JSON must be able to represent.

    Raises:
        RuntimeError: The process failed; the message ends with the last lines of its output.
    """
    name = f"benchmarks.sides.{side}"
    with temporary_folder() as folder:
        make_result = folder / "result.json"
        command = [sys.executable, "-m", "benchmarks.worker", name, str(make_result)]
        completed = subprocess.run(
            [*command, json.dumps(arguments)],
            cwd=ROOT,
            env=os.environ | (env or {}),
            capture_output=True,
            text=True,
            check=False,
            timeout=_TIMEOUT_SECONDS,
        )
        if completed.returncode:
            error_lines = "\n".join(completed.stderr.splitlines()[-_MAX_ERROR_LINES:])
            raise RuntimeError(f"{side} ended with {completed.returncode}:\n{error_lines}")
        sample: Sample = json.loads(make_result.read_text())
    return sample


def main(name: str, make_result: str, arguments: str) -> None:
    """Run one side in this process."""
    module, _, function = name.partition(":")
    sample = getattr(importlib.import_module(module), function)(**json.loads(arguments))
    Path(make_result).write_text(json.dumps(sample))


if __name__ == "__main__":
    main(*sys.argv[1:])
    # The result is written. Threads of some peers crash an interpreter that ends normally.
    os._exit(0)
