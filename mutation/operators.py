"""Mutation operators: what can be changed at one node of a syntax tree.

Each operator yields nodes to put in place of the one that it is given; the tree is left alone.
"""

from __future__ import annotations

import ast
import copy
import re
from collections.abc import Callable, Iterator
from typing import Any

Operator = Callable[[ast.AST], Iterator[ast.AST]]

_COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
_OPPOSITES = {
    "min": "max",
    "max": "min",
    "any": "all",
    "all": "any",
    "minimum": "maximum",
    "maximum": "minimum",
    "floor": "ceil",
    "ceil": "floor",
    "argmin": "argmax",
    "argmax": "argmin",
    "logical_and": "logical_or",
    "logical_or": "logical_and",
}
_SQL = re.compile(r"\b(SELECT|UPDATE|INSERT|DELETE|WHERE|ON CONFLICT)\b")
_SQL_COMPARISONS = {">": ">=", ">=": ">", "<": "<=", "<=": "<", "<>": "="}


def comparison(node: ast.AST) -> Iterator[ast.AST]:
    """Move the bound of a comparison by one, or negate it."""
    if isinstance(node, ast.Compare):
        for index, kind in enumerate(node.ops):
            yield _changed(node, ops=_with(node.ops, index, _COMPARISONS[type(kind)]()))


def boolean(node: ast.AST) -> Iterator[ast.AST]:
    """Swap `and` and `or`, drop one of their terms, or drop a `not`."""
    match node:
        case ast.BoolOp(op=op, values=values):
            yield _changed(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            for index in range(len(values)):
                yield _changed(node, values=_without(values, index))
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            yield operand


def arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    """Exchange an arithmetic operator, or drop a sign."""
    match node:
        case ast.BinOp(left=left, right=right, op=op) if type(op) in _ARITHMETIC:
            if not any(isinstance(side, ast.JoinedStr) or _is_text(side) for side in (left, right)):
                yield _changed(node, op=_ARITHMETIC[type(op)]())
        case ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield _changed(node, op=_ARITHMETIC[type(op)]())
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            yield operand


def constant(node: ast.AST) -> Iterator[ast.AST]:
    """Change a number, a truth value or a text."""
    match node:
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 2 + 1)
        case ast.Constant(value=str(value)) if not _SQL.search(value):
            yield ast.Constant(f"{value}X")


def sql(node: ast.AST) -> Iterator[ast.AST]:
    """Change a comparison in a statement of SQL, or drop a condition without parameters."""
    if not (isinstance(node, ast.Constant) and isinstance(node.value, str)):
        return
    text = node.value
    if _SQL.search(text):
        for found in re.finditer(r"(?<= )(<>|<=|>=|<|>)(?= )", text):
            other = _SQL_COMPARISONS[found[0]]
            yield ast.Constant(text[: found.start()] + other + text[found.end() :])
        for found in re.finditer(r" AND (?:(?! AND | RETURNING | LIMIT |%|\)).)+", text):
            if "%" not in text[found.end() : found.end() + 2]:
                yield ast.Constant(text[: found.start()] + text[found.end() :])


def slices(node: ast.AST) -> Iterator[ast.AST]:
    """Drop a bound or the step of a slice."""
    if isinstance(node, ast.Slice):
        for name in ("lower", "upper", "step"):
            if getattr(node, name) is not None:
                yield _changed(node, **{name: None})


def branch(node: ast.AST) -> Iterator[ast.AST]:
    """Take one branch always, or drop the condition of a comprehension or a case."""
    match node:
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.If():
            yield _changed(node, test=ast.Constant(value=True))
            yield _changed(node, test=ast.Constant(value=False))
        case ast.While(test=test) if not isinstance(test, ast.Constant):
            yield _changed(node, test=ast.Constant(value=False))
        case ast.comprehension(ifs=[_, *_] as conditions):
            for index in range(len(conditions)):
                yield _changed(node, ifs=_without(conditions, index))
        case ast.match_case(guard=ast.expr()):
            yield _changed(node, guard=None)
        case ast.Match(cases=[_, _, *_] as cases):
            for index in range(len(cases)):
                yield _changed(node, cases=_without(cases, index))


def statement(node: ast.AST) -> Iterator[ast.AST]:
    """Drop a statement that has an effect."""
    match node:
        case ast.Expr(value=ast.Call()) | ast.Delete() | ast.AugAssign():
            yield ast.Pass()
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            yield ast.Pass()
        case ast.Break():
            yield ast.Continue()
        case ast.Continue():
            yield ast.Break()
            yield ast.Pass()


def raising(node: ast.AST) -> Iterator[ast.AST]:
    """Go on where an error is raised."""
    if isinstance(node, ast.Raise):
        yield ast.Pass()


def catching(node: ast.AST) -> Iterator[ast.AST]:
    """Leave out one of the errors that are caught, or the only one."""
    match node:
        case ast.ExceptHandler(type=ast.Tuple(elts=[_, _, *_] as kinds)):
            for index in range(len(kinds)):
                rest = ast.Tuple(_without(kinds, index), ast.Load())
                yield _changed(node, type=rest)
        case ast.ExceptHandler(type=ast.expr()):
            yield _changed(node, type=ast.Tuple([], ast.Load()))


def context(node: ast.AST) -> Iterator[ast.AST]:
    """Leave out a context manager whose value has no name."""
    if isinstance(node, ast.With):
        for index, item in enumerate(node.items):
            if item.optional_vars is None:
                rest = _without(node.items, index)
                yield (
                    _changed(node, items=rest)
                    if rest
                    else ast.If(ast.Constant(value=True), node.body, [])
                )


def returning(node: ast.AST) -> Iterator[ast.AST]:
    """Return nothing, or the opposite of a truth value."""
    match node:
        case ast.Return(value=ast.Constant(value=None | bool())) | ast.Return(value=None):
            return
        case ast.Return():
            yield _changed(node, value=ast.Constant(None))


def arguments(node: ast.AST) -> Iterator[ast.AST]:
    """Drop a keyword of a call, or swap two neighbouring positional arguments."""
    if not isinstance(node, ast.Call):
        return
    for index, keyword in enumerate(node.keywords):
        # `zip(…, strict=True)` is an assertion, which only a mistake elsewhere can fail.
        if keyword.arg not in {None, "strict"}:
            yield _changed(node, keywords=_without(node.keywords, index))
    for index, (one, other) in enumerate(zip(node.args, node.args[1:], strict=False)):
        if ast.dump(one) != ast.dump(other) and not isinstance(one, ast.Starred):
            swapped = [*node.args[:index], other, one, *node.args[index + 2 :]]
            yield _changed(node, args=swapped)


def opposite(node: ast.AST) -> Iterator[ast.AST]:
    """Call the opposite of a function: `max` for `min`, `all` for `any`."""
    match node:
        case ast.Call(func=ast.Name(id=name) as function) if name in _OPPOSITES:
            yield _changed(node, func=_changed(function, id=_OPPOSITES[name]))
        case ast.Call(func=ast.Attribute(attr=name) as function) if name in _OPPOSITES:
            yield _changed(node, func=_changed(function, attr=_OPPOSITES[name]))


def elements(node: ast.AST) -> Iterator[ast.AST]:
    """Drop one element of a list, a set or a dictionary that is written out."""
    match node:
        case ast.List(elts=[_, _, *_] as items, ctx=ast.Load()) | ast.Set(elts=[_, _, *_] as items):
            for index in range(len(items)):
                yield _changed(node, elts=_without(items, index))
        case ast.Dict(keys=keys, values=values):
            for index in range(len(keys)):
                yield _changed(node, keys=_without(keys, index), values=_without(values, index))


OPERATORS: dict[str, Operator] = {
    operator.__name__: operator
    for operator in (
        comparison,
        boolean,
        arithmetic,
        constant,
        sql,
        slices,
        branch,
        statement,
        raising,
        catching,
        context,
        returning,
        arguments,
        opposite,
        elements,
    )
}


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _changed(node: ast.AST, **fields: object) -> ast.AST:
    other = copy.copy(node)
    for name, value in fields.items():
        setattr(other, name, value)
    return other


def _with(items: list[ast.cmpop], index: int, item: ast.cmpop) -> list[ast.cmpop]:
    return [*items[:index], item, *items[index + 1 :]]


def _without(items: list[Any], index: int) -> list[Any]:
    return [*items[:index], *items[index + 1 :]]
