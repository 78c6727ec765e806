"""Store results as lines of a file, and summarize them in a report."""

from __future__ import annotations

import hashlib
import json
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from mutation.mutants import Mutant, read_source
from mutation.trial import Outcome

EQUIVALENT_PATH = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True)
class Result:
    """Result of a mutant.

    Attributes:
        id: Id of the mutant.
        module: Path of the module.
        title: Line and operator of the mutant.
        before: Clause before the change.
        after: Clause with the change.
        outcome: Outcome of the tests; `equivalent` if no test can fail.
        covering: Number of tests that reach the mutant.
        source: Digest of the module.
        tests: Digest of the test file that failed, or of all test files that passed.
        why: Reason why the mutant is equivalent.
    """

    id: str
    module: str
    title: str
    before: str
    after: str
    outcome: Outcome
    covering: int = 0
    source: str = ""
    tests: str = ""
    why: str = ""

    @classmethod
    def from_outcome(
        cls,
        root: Path,
        mutant: Mutant,
        outcome: Outcome,
        covering: Iterable[str] = (),
        *,
        why: str = "",
    ) -> Self:
        """Create the result of a mutant, with digests of the module and of the tests."""
        names = list(covering)
        return cls(
            id=mutant.id,
            module=mutant.module,
            title=mutant.title,
            before=mutant.before,
            after=mutant.after,
            outcome=outcome,
            covering=len(names),
            source=digest_source(root / mutant.module),
            tests=digest_tests(root, [outcome.by] if outcome.by else names),
            why=why,
        )


class Results:
    """Stored results, which a later run reuses if neither code nor tests have changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._results: dict[str, Result] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                fields = json.loads(line)
                result = Result(**{**fields, "outcome": Outcome(**fields["outcome"])})
                self._results[result.id] = result

    def find_valid(self, root: Path, mutant: Mutant, covering: dict[str, float]) -> Result | None:
        """Return a mutant's result if it still holds."""
        result = self._results.get(mutant.id)
        if result is None or result.source != digest_source(root / mutant.module):
            return None
        tests = [result.outcome.by] if result.outcome.by else covering
        return result if result.tests == digest_tests(root, tests) else None

    def add(self, result: Result) -> None:
        """Append a result to the file."""
        self._results[result.id] = result
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def read_equivalents(path: Path = EQUIVALENT_PATH) -> dict[tuple[str, str, str], str]:
    """Return the mutants that no test can kill: (module, before, after) → reason."""
    equivalents: dict[tuple[str, str, str], str] = {}
    for entry in tomllib.loads(path.read_text()).get("mutant", []):
        equivalents[entry["module"], entry["before"], entry["after"]] = entry["why"]
    return equivalents


def digest_source(path: Path) -> str:
    """Return the digest of a module without its comments and layout."""
    return hashlib.sha256(read_source(path).encode()).hexdigest()[:16]


def digest_tests(root: Path, names: Iterable[str]) -> str:
    """Return the digest of the files of some tests."""
    digest = hashlib.sha256()
    for file in sorted({name.partition("::")[0] for name in names}):
        path = root / file
        digest.update(file.encode() + (path.read_bytes() if path.is_file() else b""))
    return digest.hexdigest()[:16]


def format_report(results: list[Result]) -> str:
    """Return a table of the modules, and each survivor by name."""
    kinds = ("killed", "timeout", "equivalent", "survived", "uncovered")
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        counts[result.module][result.outcome.status] += 1
    whole = sum(counts.values(), Counter[str]())
    rows = [*sorted(counts.items()), ("all", whole)]
    lines = [f"| module | mutants | {' | '.join(kinds)} |", "|---" * (len(kinds) + 2) + "|"]
    for module, count in rows:
        cells = [module, str(count.total()), *(str(count[kind]) for kind in kinds)]
        lines.append(f"| {' | '.join(cells)} |")
    for kind in ("survived", "uncovered", "timeout"):
        equivalents = [result for result in results if result.outcome.status == kind]
        lines += ["", f"{kind}: {len(equivalents)}", *map(_describe, equivalents)]
    good = whole.total() - whole["survived"] - whole["uncovered"]
    rate = good / (whole.total() or 1)
    return "\n".join([*lines, "", f"killed or equivalent: {good} of {whole.total()}, {rate:.1%}"])


def _describe(result: Result) -> str:
    text = f"{result.title} {result.id} ({result.outcome.passed} of {result.covering} tests ran)"
    if result.outcome.by:
        text += f", {result.outcome.by}"
    for sign, clause in (("-", result.before), ("+", result.after)):
        text += "".join(f"\n    {sign} {line}" for line in clause.splitlines())
    return text
