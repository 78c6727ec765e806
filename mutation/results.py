"""Results on disk, one line each, and what they come to."""

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

EQUIVALENT = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True)
class Result:
    """The outcome of a mutant.

    Attributes:
        id: of the mutant.
        module: its path.
        title: the place and the operator.
        before: the clause as it is.
        after: the clause with the change.
        outcome: what the tests did; `equivalent` when it is argued that none can fail.
        covering: how many tests reach the mutant.
        source: digest of the module.
        tests: digest of the test file that failed, or of all that passed.
        why: the argument for an equivalent mutant.
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
    def of(
        cls,
        root: Path,
        mutant: Mutant,
        outcome: Outcome,
        covering: Iterable[str] = (),
        *,
        why: str = "",
    ) -> Self:
        """Return the result of a mutant, with the digests of what it was found with."""
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
    """The results so far, which a later run takes over where neither code nor tests changed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Result] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                fields = json.loads(line)
                result = Result(**{**fields, "outcome": Outcome(**fields["outcome"])})
                self._known[result.id] = result

    def find(self, root: Path, mutant: Mutant, covering: dict[str, float]) -> Result | None:
        """Return a mutant's result if it still holds."""
        known = self._known.get(mutant.id)
        if known is None or known.source != digest_source(root / mutant.module):
            return None
        tests = [known.outcome.by] if known.outcome.by else covering
        return known if known.tests == digest_tests(root, tests) else None

    def add(self, result: Result) -> None:
        """Append a result to the file."""
        self._known[result.id] = result
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as file:
            file.write(json.dumps(asdict(result)) + "\n")


def read_equivalents(path: Path = EQUIVALENT) -> dict[tuple[str, str, str], str]:
    """Return the mutants that no test can kill: (module, before, after) → why."""
    found: dict[tuple[str, str, str], str] = {}
    for entry in tomllib.loads(path.read_text()).get("mutant", []):
        found[entry["module"], entry["before"], entry["after"]] = entry["why"]
    return found


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


def report(results: list[Result]) -> str:
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
        found = [result for result in results if result.outcome.status == kind]
        lines += ["", f"{kind}: {len(found)}", *map(_describe, found)]
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
