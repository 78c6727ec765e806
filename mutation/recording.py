"""One recording: tests run under coverage, which of them reached which lines, and how long it took.

A recording keeps the source that it was made with. Lines of a module that has changed since are
found again by their content, so that an edit costs no new recording.
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

from mutation.plugin import DURATIONS

_ALL = (0, sys.maxsize)


@dataclass(frozen=True)
class Recording:
    """A run of some tests.

    Attributes:
        folder: holds all of it.
    """

    folder: Path
    _maps: dict[str, list[set[int]]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def make(cls, folder: Path, root: Path, modules: list[str], tests: list[str]) -> Recording:
        """Run tests of a tree under coverage of some modules."""
        made = cls(folder)
        shutil.rmtree(folder, ignore_errors=True)
        for module in modules:
            copy = made._source(module)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / module, copy)
        settings = folder / "coverage.ini"
        lines = "".join(f"    {root / module}\n" for module in modules)
        settings.write_text(f"[run]\ndata_file = {made._data_file}\ninclude =\n{lines}")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "mutation.plugin"]
        command += ["-p", "no:randomly", "--numprocesses", "2", "--dist", "loadfile"]
        command += ["--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report="]
        environment = {**os.environ, DURATIONS: str(made._durations_file)}
        # A test that fails here is never asked about a mutant.
        subprocess.run([*command, *tests], cwd=root, env=environment, check=False)  # noqa: S603
        (folder / "root").write_text(str(root))
        return made

    @cached_property
    def durations(self) -> dict[str, float]:
        """Seconds that each passing test took, by node id."""
        found: dict[str, float] = json.loads(self._durations_file.read_text())
        return {name: seconds for name, seconds in found.items() if not math.isnan(seconds)}

    def contexts(self, root: Path, module: str, lines: tuple[int, int] = _ALL) -> set[str]:
        """Return the tests, and in which phase, that reached lines of a module as it is now.

        Args:
            root: has the module.
            module: its path below the root.
            lines: the first and the last line.
        """
        recorded = self._contexts.get(module) or self._read(module)
        if lines == _ALL:
            return set().union(*recorded.values())
        found: set[str] = set()
        for before in self._lines_before(root, module)[lines[0] : lines[1] + 1]:
            for line in before:
                found.update(recorded.get(line, ()))
        return found

    def _lines_before(self, root: Path, module: str) -> list[set[int]]:
        """Return for each line of a module, from 0 on, the lines that it was at the recording."""
        if module not in self._maps:
            now = (root / module).read_text().splitlines()
            copy = self._source(module)
            then = copy.read_text().splitlines() if copy.is_file() else []
            before: list[set[int]] = [set() for _ in range(len(now) + 1)]
            matcher = difflib.SequenceMatcher(a=then, b=now, autojunk=False)
            for kind, a, a_end, b, b_end in matcher.get_opcodes():
                for line in range(b, b_end):
                    if kind == "equal":
                        before[line + 1] = {a + line - b + 1}
                    else:
                        # What stood there instead, and what still stands around it.
                        before[line + 1] = set(range(a, a_end + 2))
            self._maps[module] = before
        return self._maps[module]

    def _read(self, module: str) -> dict[int, list[str]]:
        root = (self.folder / "root").read_text()
        found = self._data.contexts_by_lineno(str(Path(root) / module))
        self._contexts[module] = found
        return found

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
