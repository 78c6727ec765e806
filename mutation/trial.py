"""Run the tests of a mutant in a forked child, on a copy of the repository.

The copy has the change, so that processes that a test starts have it too. The child is forked from
a process that has imported swath's dependencies, but not swath.
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

_PRELOADED_MODULES = (
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
"""Modules to import once. None of them starts threads or processes, as torch and jsii do."""
_LINKED_FILES = ("node_modules",)
_START_SECONDS = 90
"""Time in s for a child besides its tests: imports, a template database, a synthesis."""


@dataclass(frozen=True)
class Outcome:
    """Outcome of the tests of a mutant.

    Attributes:
        status: Status: killed, timeout (killed by a hang), survived or uncovered.
        by: Node id of the test that failed.
        message: Message of the failure.
        passed: Number of tests that passed before the failure, or of all tests.
    """

    status: str
    by: str = ""
    message: str = ""
    passed: int = 0


@dataclass(frozen=True)
class RepositoryCopy:
    """Copy of the repository, which can be changed.

    Attributes:
        root: Folder of the repository.
        folder: Folder of the copy.
    """

    root: Path
    folder: Path

    def refresh(self) -> None:
        """Update the copy to the repository's files, including those that are not committed."""
        listing = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.check_output(  # noqa: S603
            listing, cwd=self.root, text=True
        ).split("\0")
        names_to_copy = {name for name in names if name and (self.root / name).is_file()}
        for path in list(self.folder.rglob("*")) if self.folder.exists() else []:
            name = path.relative_to(self.folder).as_posix()
            is_retained = path.is_symlink() or "__pycache__" in path.parts or name in names_to_copy
            if path.is_file() and not is_retained:
                path.unlink()
        for name in names_to_copy:
            source, copy = self.root / name, self.folder / name
            if not copy.exists() or source.read_bytes() != copy.read_bytes():
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(source, copy)
        for name in _LINKED_FILES:
            if (self.root / name).exists() and not (self.folder / name).exists():
                (self.folder / name).symlink_to(self.root / name)

    @contextlib.contextmanager
    def mutated(self, mutant: Mutant) -> Iterator[None]:
        """Apply the change to the copy during the block."""
        path = self.folder / mutant.module
        original, status = path.read_bytes(), path.stat()
        # Python identifies bytecode by the size of the source and its time in whole seconds.
        bytecode = Path(importlib.util.cache_from_source(str(path)))
        path.write_text(mutate(self.folder, mutant))
        bytecode.unlink(missing_ok=True)
        try:
            yield
        finally:
            path.write_bytes(original)
            bytecode.unlink(missing_ok=True)
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))

    def enter(self) -> None:
        """Make the copy this process's repository, and import the dependencies of swath."""
        source_paths = [str(self.folder / "src"), str(self.folder)]
        os.environ |= {
            "PYTHONPATH": os.pathsep.join(source_paths),
            "OMP_NUM_THREADS": "1",
            "ORT_DISABLE_TELEMETRY": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
            "JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION": "20",
        }
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        sys.dont_write_bytecode = False
        os.chdir(self.folder)
        sys.path[:] = source_paths + [path for path in sys.path if not self._is_ours(path)]
        for name in _PRELOADED_MODULES:
            importlib.import_module(name)
        loaded = [name for name in sys.modules if name.partition(".")[0] == "swath"]
        if loaded:
            raise RuntimeError(f"{loaded[0]} is already imported, so it cannot be mutated")

    def _is_ours(self, path: str) -> bool:
        return Path(path or ".").resolve() in {self.root, self.root / "src"}

    def test(self, durations: dict[str, float]) -> Outcome:
        """Run tests until the first failure; `durations` has their durations without a mutant."""
        limit = _START_SECONDS + sum(durations.values()) * 3
        with tempfile.TemporaryDirectory(prefix="swath-mutant-") as folder:
            result_folder = Path(folder)
            child = os.fork()
            if not child:
                _run_tests(self.folder, durations, result_folder)
            if not _ends_in_time(child, limit):
                return Outcome("timeout", message=f"the tests took more than {limit:.0f} s")
            try:
                outcome = Outcome(**json.loads((result_folder / "outcome.json").read_text()))
            except FileNotFoundError:
                outcome = Outcome("killed")
            if outcome.status == "killed" and not outcome.message:
                log = (result_folder / "log").read_text(errors="replace")
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
        # Modules that were imported before the fork are not tested.
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


def _ends_in_time(child: int, seconds: float) -> bool:
    """Wait for a process, end its children, and return whether it ended in time."""
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
