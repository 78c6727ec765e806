"""Map mutants to the tests that reach them, from the recording of each test file."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mutation.mutants import Mutant
from mutation.recording import Recording
from mutation.targets import EXCLUDED_TESTS, TESTS, Target, list_targets


@dataclass(frozen=True)
class CoverageMap:
    """Recordings of a copy of the repository.

    Attributes:
        root: Folder of the copy.
        folder: Folder of the recordings.
    """

    root: Path
    folder: Path

    def update(self, *, record_again: bool = False) -> None:
        """Record the test files that are new or changed.

        Args:
            record_again: Whether to record all test files again, which takes minutes.
        """
        tests = {path: _digest(self.root / path) for path in self._test_files()}
        if record_again:
            shutil.rmtree(self.folder, ignore_errors=True)
        known = self._read_index()
        changed = [
            path for path, digest in tests.items() if known.get(path, {}).get("digest") != digest
        ]
        if changed:
            name = f"{max((int(entry['recording']) for entry in known.values()), default=0) + 1}"
            modules = [target.module for target in list_targets(self.root)]
            Recording.make(self.folder / name, self.root, modules, changed)
            known |= {path: {"digest": tests[path], "recording": name} for path in changed}
            self._index.write_text(json.dumps(known))

    def covering_tests(self, mutant: Mutant, target: Target) -> dict[str, float]:
        """Return the tests that reach a mutant, best first, and their durations in seconds.

        First come those of the module's own test file, then all others, the quickest first. What
        runs at import was recorded of the test that imported it: any test of the module may notice.
        """
        lines = (0, sys.maxsize) if mutant.at_import else mutant.lines
        tests = self._tests(mutant.module, lines)
        if target.tests:
            tests |= {name for name in self._durations if name.startswith(target.tests)}
        own = f"/test_{Path(mutant.module).stem}.py::"
        if mutant.at_import:
            # Nothing else may be recorded of a module that only says what there is.
            tests |= {name for name in self._durations if own in name}
        order = sorted(tests, key=lambda name: (own not in name, self._durations[name], name))
        return {name: self._durations[name] for name in order}

    def _tests(self, module: str, lines: tuple[int, int]) -> set[str]:
        tests: set[str] = set()
        for name, recording in self._recordings.items():
            for context in recording.contexts(self.root, module, lines):
                test, _, phase = context.partition("|")
                if phase == "setup":
                    # The fixture may be shared with the rest of the file.
                    file = test.partition("::")[0]
                    tests.update(self._by_file.get((name, file), ()))
                elif self._test_recordings.get(test) == name:
                    tests.add(test)
        return tests

    @cached_property
    def _durations(self) -> dict[str, float]:
        return {
            test: seconds
            for name, recording in self._recordings.items()
            for test, seconds in recording.durations.items()
            if self._test_recordings.get(test) == name
        }

    @cached_property
    def _test_recordings(self) -> dict[str, str]:
        """Latest recording of each test's file, by test."""
        return {test: name for (name, _), tests in self._by_file.items() for test in tests}

    @cached_property
    def _by_file(self) -> dict[tuple[str, str], list[str]]:
        """Tests of each file, by the file's latest recording."""
        files: dict[tuple[str, str], list[str]] = {}
        latest = {path: entry["recording"] for path, entry in self._read_index().items()}
        for name, recording in self._recordings.items():
            for test in recording.durations:
                file = test.partition("::")[0]
                if latest.get(file) == name:
                    files.setdefault((name, file), []).append(test)
        return files

    @cached_property
    def _recordings(self) -> dict[str, Recording]:
        names = {entry["recording"] for entry in self._read_index().values()}
        return {name: Recording(self.folder / name) for name in sorted(names, key=int)}

    def _test_files(self) -> list[str]:
        """Return the test files to record, from the root of the tree."""
        files = {file for path in TESTS for file in _python_files(self.root / path)}
        names = sorted(file.relative_to(self.root).as_posix() for file in files)
        return [name for name in names if not name.startswith(EXCLUDED_TESTS)]

    def _read_index(self) -> dict[str, dict[str, str]]:
        if not self._index.exists():
            return {}
        known: dict[str, dict[str, str]] = json.loads(self._index.read_text())
        return {path: entry for path, entry in known.items() if (self.root / path).exists()}

    @property
    def _index(self) -> Path:
        return self.folder / "index.json"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]


def _python_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else list(path.rglob("test_*.py"))
