"""Record which lines each test reaches, and how long it takes, by a run under coverage.

A recording has a copy of the recorded source. Lines of a module that has changed since are matched
by their content, so that an edit needs no new recording.
"""

from __future__ import annotations

import difflib
import json
import math
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import coverage

from mutation.plugin import DURATIONS_VARIABLE

_ALL_LINES = (0, sys.maxsize)


@dataclass(frozen=True)
class Recording:
    """Recording of a run of some tests.

    Attributes:
        folder: Folder of the recording.
    """

    folder: Path
    _line_maps: dict[str, list[set[int]]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def make(cls, folder: Path, root: Path, modules: list[str], tests: list[str]) -> Recording:
        """Run tests of a tree under coverage of some modules."""
        recording = cls(folder)
        shutil.rmtree(folder, ignore_errors=True)
        for module in modules:
            copy = recording._source(module)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / module, copy)
        settings = folder / "coverage.ini"
        lines = "".join(f"    {root / module}\n" for module in modules)
        settings.write_text(f"[run]\ndata_file = {recording._data_file}\ninclude =\n{lines}")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "mutation.plugin"]
        command += ["-p", "no:randomly", "--numprocesses", "2", "--dist", "loadfile"]
        command += ["--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report="]
        environment = {**os.environ, DURATIONS_VARIABLE: str(recording._durations_file)}
        # A test that fails here is not run for any mutant.
        subprocess.run([*command, *tests], cwd=root, env=environment, check=False)  # noqa: S603
        (folder / "root").write_text(str(root))
        return recording

    @cached_property
    def durations(self) -> dict[str, float]:
        """Durations in s of the passing tests, by node id."""
        contexts: dict[str, float] = json.loads(self._durations_file.read_text())
        return {name: seconds for name, seconds in contexts.items() if not math.isnan(seconds)}

    def contexts(self, root: Path, module: str, lines: tuple[int, int] = _ALL_LINES) -> set[str]:
        """Return the tests, and in which phase, that reached lines of a module as it is now.

        Args:
            root: Root of the repository with the module.
            module: Path of the module below the root.
            lines: First and last line.
        """
        recorded = self._contexts.get(module) or self._read_contexts(module)
        if lines == _ALL_LINES:
            return set().union(*recorded.values())
        contexts: set[str] = set()
        for recorded_numbers in self._map_lines(root, module)[lines[0] : lines[1] + 1]:
            for line in recorded_numbers:
                contexts.update(recorded.get(line, ()))
        return contexts

    def _map_lines(self, root: Path, module: str) -> list[set[int]]:
        """Return for each line of a module, from 0 on, the lines that it was at the recording."""
        if module not in self._line_maps:
            current_lines = (root / module).read_text().splitlines()
            copy = self._source(module)
            recorded_lines = copy.read_text().splitlines() if copy.is_file() else []
            recorded_numbers: list[set[int]] = [set() for _ in range(len(current_lines) + 1)]
            matcher = difflib.SequenceMatcher(a=recorded_lines, b=current_lines, autojunk=False)
            for kind, a, a_end, b, b_end in matcher.get_opcodes():
                for line in range(b, b_end):
                    if kind == "equal":
                        recorded_numbers[line + 1] = {a + line - b + 1}
                    else:
                        # The replaced lines, and the unchanged lines around them.
                        recorded_numbers[line + 1] = set(range(a, a_end + 2))
            self._line_maps[module] = recorded_numbers
        return self._line_maps[module]

    def _read_contexts(self, module: str) -> dict[int, list[str]]:
        root = (self.folder / "root").read_text()
        contexts = self._data.contexts_by_lineno(str(Path(root) / module))
        self._contexts[module] = contexts
        return contexts

    @cached_property
    def _contexts(self) -> dict[str, dict[int, list[str]]]:
        return {}

    @cached_property
    def _data(self) -> coverage.CoverageData:
        data = coverage.CoverageData(basename=str(self._data_file))
        data.read()
        return data

    def _source(self, module: str) -> Path:
        return self.folder / "sources" / module

    @property
    def _data_file(self) -> Path:
        return self.folder / "coverage.db"

    @property
    def _durations_file(self) -> Path:
        return self.folder / "durations.json"
