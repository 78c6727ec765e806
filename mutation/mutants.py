"""The mutants of a module: each a change of one node, named by its content and not by its line."""

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
_LOGGERS = {"logger", "logging", "log", "warnings"}
"""Names whose calls say something to people only."""
_TYPES = {"TypeVar", "NewType", "cast", "Literal", "TypeAlias"}


@dataclass(frozen=True)
class Mutant:
    """One change of one module.

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
        """Digest of the content: the same wherever in the module the clause stands."""
        parts = (self.module, self.scope, self.before, self.after, str(self.occurrence))
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]

    @property
    def title(self) -> str:
        """The change as people read it."""
        return f"{self.module}:{self.lines[0]} {self.scope} [{self.operator}]"


@dataclass(frozen=True)
class _Position:
    """A node and what stands around it."""

    parent: ast.AST
    name: str
    index: int | None
    clause: ast.AST
    scopes: tuple[ast.AST, ...]
    is_message: bool


def read_source(path: Path) -> str:
    """Return a module's source without comments and layout, by which mutants are compared."""
    return ast.unparse(ast.parse(path.read_text()))


def find_mutants(root: Path, module: str) -> list[Mutant]:
    """Return all mutants of a module, in the order of its source."""
    tree = ast.parse((root / module).read_text())
    return [mutant for mutant, _, _ in _walk(tree, module)]


def mutate(root: Path, mutant: Mutant) -> str:
    """Return the source of a mutant's module with its change.

    Raises:
        LookupError: the module has no such mutant any more.
    """
    tree = ast.parse((root / mutant.module).read_text())
    for other, position, node in _walk(tree, mutant.module):
        if other.id == mutant.id:
            _set(position, node)
            return ast.unparse(ast.fix_missing_locations(tree))
    raise LookupError(f"{mutant.module} has no mutant {mutant.id}")


def _walk(tree: ast.Module, module: str) -> Iterator[tuple[Mutant, _Position, ast.AST]]:
    seen: Counter[tuple[str, str, str]] = Counter()
    for position in list(_positions(tree, tree, (), is_message=False)):
        node = _get(position)
        for name, operator in OPERATORS.items():
            if position.is_message and name in {"constant", "arithmetic", "elements"}:
                continue
            for other in operator(node):
                mutant = _describe(position, name, module, ast.fix_missing_locations(other))
                content = (mutant.scope, mutant.before, mutant.after)
                yield replace(mutant, occurrence=seen[content]), position, other
                seen[content] += 1


def _describe(position: _Position, operator: str, module: str, other: ast.AST) -> Mutant:
    node, clause = _get(position), position.clause
    before = _header(clause)
    _set(position, other)
    try:
        after = _header(other if node is clause else clause)
    finally:
        _set(position, node)
    if before == after:
        before, after = ast.unparse(node), ast.unparse(other)
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
            if not isinstance(child, ast.AST) or _is_left_alone(child):
                continue
            inner = child if isinstance(child, _CLAUSES) else clause
            says = is_message or isinstance(child, ast.Raise)
            place = index if isinstance(value, list) else None
            yield _Position(node, name, place, inner, scopes, says)
            deeper = (*scopes, child) if isinstance(child, _SCOPES) else scopes
            yield from _positions(child, inner, deeper, is_message=says)


def _is_left_alone(node: ast.AST) -> bool:
    """Tell whether no test could notice a change here: types, texts for people, imports."""
    match node:
        case ast.Expr(value=ast.Constant()) | ast.Import() | ast.ImportFrom() | ast.JoinedStr():
            return True
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return True
        case ast.Call(func=ast.Name(id=name)) if name in _TYPES:
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return name in _LOGGERS
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            # Aliases of types: `Floats = NDArray[np.float64]`, `Way = A | B`.
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


def _header(clause: ast.AST) -> str:
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
    """Tell whether a clause runs at import, as the defaults of arguments do."""
    around = scopes[:-1] if scopes and clause is scopes[-1] else scopes
    return not around or isinstance(around[-1], ast.ClassDef)
