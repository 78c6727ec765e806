"""One mutant against the tests that reach it, in a forked child on a copy of the repository.

The copy, and not the work tree, holds the change, so that processes which a test starts see it too.
The child is forked from a process that has imported what swath builds on, but not swath.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pytest

from mutation.mutants import Mutant, mutate
from mutation.plugin import Selection

_WARM = (
    "numpy",
    "pyarrow.parquet",
    "rasterio",
    "shapely",
    "boto3",
    "psycopg",
    "imagecodecs",
    "antimeridian",
    "msgspec",
    "moto.server",
    "onnxruntime",
    "aws_lambda_powertools",
    "alembic.command",
    "cryptography.x509",
    "fastapi",
    "httpx",
    "hypothesis",
    "onnx",
    "rich.console",
    "sqlalchemy.dialects.postgresql",
)
"""Imported once: none of them starts threads or processes when imported, as torch and jsii do."""
_OTHER_FILES = ("node_modules",)
_START_S = 90
"""Seconds for a child besides its tests: imports, a template database, a synthesis."""


@dataclass(frozen=True)
class Outcome:
    """The verdict of the tests on a mutant.

    Attributes:
        status: killed, timeout (killed by a hang), survived or uncovered.
        by: node id of the test that failed.
        message: what it said.
        passed: tests that passed before, or in all.
    """

    status: str
    by: str = ""
    message: str = ""
    passed: int = 0


@dataclass(frozen=True)
class Tree:
    """A copy of the repository to change.

    Attributes:
        root: the repository.
        folder: the copy.
    """

    root: Path
    folder: Path

    def refresh(self) -> None:
        """Bring the copy up to the repository's files, those not yet committed included."""
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.check_output(  # noqa: S603
            listing, cwd=self.root, text=True
        ).split("\0")
        wanted = {name for name in names if name and (self.root / name).is_file()}
        for path in list(self.folder.rglob("*")) if self.folder.exists() else []:
            name = path.relative_to(self.folder).as_posix()
            is_kept = path.is_symlink() or "__pycache__" in path.parts or name in wanted
            if path.is_file() and not is_kept:
                path.unlink()
        for name in wanted:
            source, copy = self.root / name, self.folder / name
            if not copy.exists() or source.read_bytes() != copy.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy)
        for name in _OTHER_FILES:
            if (self.root / name).exists() and not (self.folder / name).exists():
                (self.folder / name).symlink_to(self.root / name)

    @contextlib.contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Keep the change in the copy inside the block."""
        path = self.folder / mutant.module
        original, at = path.read_bytes(), path.stat()
        # Bytecode is told from other by the size and the second of its source.
        bytecode = Path(importlib.util.cache_from_source(str(path)))
        path.write_text(mutate(self.folder, mutant))
        bytecode.unlink(missing_ok=True)
        try:
            yield
        finally:
            path.write_bytes(original)
            bytecode.unlink(missing_ok=True)
            os.utime(path, ns=(at.st_atime_ns, at.st_mtime_ns))

    def enter(self) -> None:
        """Make the copy this process's repository, for good, and import what is worth it."""
        places = [str(self.folder / "src"), str(self.folder)]
        os.environ |= {
            "PYTHONPATH": os.pathsep.join(places),
            "OMP_NUM_THREADS": "1",
            "ORT_DISABLE_TELEMETRY": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        }
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
        os.chdir(self.folder)
        sys.path[:] = places + [path for path in sys.path if not self._is_ours(path)]
        for name in _WARM:
            importlib.import_module(name)
        loaded = [name for name in sys.modules if name.partition(".")[0] == "swath"]
        if loaded:
            raise RuntimeError(f"{loaded[0]} is imported already: no mutant of it could be")

    def _is_ours(self, path: str) -> bool:
        return Path(path or ".").resolve() in {self.root, self.root / "src"}

    def test(self, durations: dict[str, float]) -> Outcome:
        """Run tests, the first failure ends it; `durations` has their seconds unmutated."""
        limit = _START_S + sum(durations.values()) * 3
        with tempfile.TemporaryDirectory(prefix="swath-mutant-") as folder:
            place = Path(folder)
            child = os.fork()
            if not child:
                _run_tests(self.folder, durations, place)
            if not _ends(child, limit):
                return Outcome("timeout", message=f"the tests took more than {limit:.0f} s")
            try:
                outcome = Outcome(**json.loads((place / "outcome.json").read_text()))
            except FileNotFoundError:
                outcome = Outcome("killed")
            if outcome.status == "killed" and not outcome.message:
                log = (place / "log").read_text(errors="replace")
                outcome = replace(outcome, message=log[-2000:].strip() or "the process died")
        if outcome.status == "killed" and "from pytest-timeout" in outcome.message:
            return Outcome("timeout", outcome.by, outcome.message, outcome.passed)
        return outcome


def _run_tests(root: Path, durations: dict[str, float], folder: Path) -> None:
    """Run tests in this process, which ends with it."""
    code = 1
    try:
        os.setsid()
        with (folder / "log").open("wb") as log:
            for stream in (1, 2):
                os.dup2(log.fileno(), stream)
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None
        selection = Selection(durations)
        files = list(dict.fromkeys(name.partition("::")[0] for name in durations))
        options = ["-x", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"]
        options += ["--no-cov", "--hypothesis-seed=0", "--rootdir", str(root)]
        # What was imported before the fork is not under test.
        options += ["-W", "ignore::pytest.PytestAssertRewriteWarning"]
        options += ["--basetemp", str(folder / "pytest")]
        code = int(pytest.main([*options, *files], plugins=[selection]))
        status = "survived" if code == 0 else "killed"
        if code == pytest.ExitCode.NO_TESTS_COLLECTED:
            status = "uncovered"
        outcome = Outcome(status, selection.failed, selection.message, selection.passed)
        (folder / "outcome.json").write_text(json.dumps(asdict(outcome)))
    finally:
        os._exit(code)


def _ends(child: int, seconds: float) -> bool:
    """Wait for a process; whether it ended in time. What it has started ends with it."""
    handle = os.pidfd_open(child)
    try:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        in_time = bool(poll.poll(seconds * 1000))
    finally:
        os.close(handle)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
    return in_time
