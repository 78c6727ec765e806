"""List and apply the mutants of a module, each a change of one node, identified by its content."""

from __future__ import annotations

import ast
import copy
import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from mutation.operators import OPERATORS

_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
_CLAUSES = (ast.stmt, ast.ExceptHandler, ast.match_case)
_LOGGER_NAMES = {"logger", "logging", "log", "warnings"}
"""Names whose calls have no effect on results."""
_TYPE_FUNCTIONS = {"TypeVar", "NewType", "cast", "Literal", "TypeAlias"}


@dataclass(frozen=True)
class Mutant:
    """Change of one node of a module.

    Attributes:
        module: path of the module from the root of the repository.
        scope: qualified name of the function or class around the change; empty at module level.
        operator: name of the mutation operator.
        before: the changed clause as it is, in one line for a compound statement.
        after: the same clause with the change.
        lines: first and last line of the clause.
        at_import: whether it runs when the module is imported.
        occurrence: number among mutants of the module with the same content.
    """

    module: str
    scope: str
    operator: str
    before: str
    after: str
    lines: tuple[int, int]
    at_import: bool
    occurrence: int = 0

    @property
    def id(self) -> str:
        """Digest of the content, which does not depend on the position in the module."""
        parts = (self.module, self.scope, self.before, self.after, str(self.occurrence))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """Description of the change for people."""
        return f"{self.module}:{self.lines[0]} {self.scope} [{self.operator}]"


@dataclass(frozen=True)
class _Position:
    """Node with its surroundings."""

    parent: ast.AST
    name: str
    index: int | None
    clause: ast.AST
    scopes: tuple[ast.AST, ...]
    is_message: bool


def read_source(path: Path) -> str:
    """Return a module's source without comments and layout, by which mutants are compared."""
    return ast.unparse(ast.parse(path.read_text()))


def list_mutants(root: Path, module: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its source."""
    tree = ast.parse((root / module).read_text())
    return [mutant for mutant, _, _ in _iter_mutants(tree, module)]


def mutate(root: Path, mutant: Mutant) -> str:
    """Return the source of a mutant's module with its change.

    Raises:
        LookupError: The module no longer has this mutant.
    """
    tree = ast.parse((root / mutant.module).read_text())
    for mutated, position, node in _iter_mutants(tree, mutant.module):
        if mutated.id == mutant.id:
            _set(position, node)
            return ast.unparse(ast.fix_missing_locations(tree))
    raise LookupError(f"{mutant.module} has no mutant {mutant.id}")


def _iter_mutants(tree: ast.Module, module: str) -> Iterator[tuple[Mutant, _Position, ast.AST]]:
    occurrences: Counter[tuple[str, str, str]] = Counter()
    for position in list(_positions(tree, tree, (), is_message=False)):
        node = _get(position)
        for name, operator in OPERATORS.items():
            if position.is_message and name in {"constant", "arithmetic", "elements"}:
                continue
            for mutated in operator(node):
                mutant = _build_mutant(position, name, module, ast.fix_missing_locations(mutated))
                content = (mutant.scope, mutant.before, mutant.after)
                yield replace(mutant, occurrence=occurrences[content]), position, mutated
                occurrences[content] += 1


def _build_mutant(position: _Position, operator: str, module: str, mutated: ast.AST) -> Mutant:
    node, clause = _get(position), position.clause
    before = _clause_header(clause)
    _set(position, mutated)
    try:
        after = _clause_header(mutated if node is clause else clause)
    finally:
        _set(position, node)
    if before == after:
        before, after = ast.unparse(node), ast.unparse(mutated)
    scopes = position.scopes
    return Mutant(
        module=module,
        scope=".".join(str(getattr(scope, "name", "")) for scope in scopes),
        operator=operator,
        before=before,
        after=after,
        lines=_lines(clause),
        at_import=_runs_at_import(clause, scopes),
    )


def _positions(
    node: ast.AST, clause: ast.AST, scopes: tuple[ast.AST, ...], *, is_message: bool
) -> Iterator[_Position]:
    for name, value in ast.iter_fields(node):
        if name in {"annotation", "returns", "type_comment", "decorator_list", "bases"}:
            continue
        children = value if isinstance(value, list) else [value]
        for index, child in enumerate(children):
            if not isinstance(child, ast.AST) or _is_excluded(child):
                continue
            child_clause = child if isinstance(child, _CLAUSES) else clause
            is_in_message = is_message or isinstance(child, ast.Raise)
            child_index = index if isinstance(value, list) else None
            yield _Position(node, name, child_index, child_clause, scopes, is_in_message)
            child_scopes = (*scopes, child) if isinstance(child, _SCOPES) else scopes
            yield from _positions(child, child_clause, child_scopes, is_message=is_in_message)


def _is_excluded(node: ast.AST) -> bool:
    """Return whether no test could notice a change: types, texts for people, imports."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Call(func=ast.Name(id=name)) if name in _TYPE_FUNCTIONS:
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name in _LOGGER_NAMES
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            # Aliases of types: `Floats = NDArray[np.float64]`, `Result = A | B`.
            is_alias = name.lstrip("_")[:1].isupper() and not name.isupper()
            return name == "__all__" or (is_alias and isinstance(value, ast.Subscript | ast.BinOp))
    return False


def _get(position: _Position) -> ast.AST:
    value = getattr(position.parent, position.name)
    node: ast.AST = value if position.index is None else value[position.index]
    return node


def _set(position: _Position, node: ast.AST) -> None:
    if position.index is None:
        setattr(position.parent, position.name, node)
    else:
        getattr(position.parent, position.name)[position.index] = node


def _clause_header(clause: ast.AST) -> str:
    """Return a clause without the blocks inside it."""
    shallow = copy.copy(clause)
    for name in _BLOCKS:
        if getattr(shallow, name, None):
            setattr(shallow, name, [ast.Pass()] if name == "body" else [])
    if isinstance(shallow, ast.Match):
        shallow.cases = [ast.match_case(ast.MatchAs(), None, [ast.Pass()])]
    if isinstance(shallow, ast.Try | ast.TryStar):
        shallow.finalbody = [ast.Pass()]
    text = ast.unparse(shallow)
    return text.removesuffix("pass").rstrip() if hasattr(shallow, "body") else text


def _lines(clause: ast.AST) -> tuple[int, int]:
    if isinstance(clause, ast.match_case):
        return clause.pattern.lineno, clause.body[0].lineno
    first = int(getattr(clause, "lineno", 0))
    last = int(getattr(clause, "end_lineno", first) or first)
    body = getattr(clause, "body", None)
    if isinstance(body, list) and body:
        last = max(first, body[0].lineno - 1)
    return first, last


def _runs_at_import(clause: ast.AST, scopes: tuple[ast.AST, ...]) -> bool:
    """Return whether a clause runs at import, as the defaults of arguments do."""
    outer_scopes = scopes[:-1] if scopes and clause is scopes[-1] else scopes
    return not outer_scopes or isinstance(outer_scopes[-1], ast.ClassDef)
