"""Define the mutation operators, which change one node of a syntax tree.

Each operator yields replacements of a node, and does not change the tree.
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
            yield _with_fields(node, ops=_replace_item(node.ops, index, _COMPARISONS[type(kind)]()))


def boolean(node: ast.AST) -> Iterator[ast.AST]:
    """Swap `and` and `or`, drop one of their terms, or drop a `not`."""
    match node:
        case ast.BoolOp(op=op, values=values):
            yield _with_fields(node, op=ast.Or() if isinstance(op, ast.And) else ast.And())
            for index in range(len(values)):
                yield _with_fields(node, values=_remove_item(values, index))
        case ast.UnaryOp(op=ast.Not() | ast.Invert(), operand=operand):
            yield operand


def arithmetic(node: ast.AST) -> Iterator[ast.AST]:
    """Exchange an arithmetic operator, or drop a sign."""
    match node:
        case ast.BinOp(left=left, right=right, op=op) if type(op) in _ARITHMETIC:
            if not any(map(_is_string, (left, right))):
                yield _with_fields(node, op=_ARITHMETIC[type(op)]())
        case ast.AugAssign(op=op) if type(op) in _ARITHMETIC:
            yield _with_fields(node, op=_ARITHMETIC[type(op)]())
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
        for match_ in re.finditer(r"(?<= )(<>|<=|>=|<|>)(?= )", text):
            changed = _SQL_COMPARISONS[match_[0]]
            yield ast.Constant(text[: match_.start()] + changed + text[match_.end() :])
        for match_ in re.finditer(r" AND (?:(?! AND | RETURNING | LIMIT |%|\)).)+", text):
            if "%" not in text[match_.end() : match_.end() + 2]:
                yield ast.Constant(text[: match_.start()] + text[match_.end() :])


def slices(node: ast.AST) -> Iterator[ast.AST]:
    """Drop a bound or the step of a slice."""
    if isinstance(node, ast.Slice):
        for name in ("lower", "upper", "step"):
            if getattr(node, name) is not None:
                yield _with_fields(node, **{name: None})


def branch(node: ast.AST) -> Iterator[ast.AST]:
    """Take one branch always, or drop the condition of a comprehension or a case."""
    match node:
        case ast.IfExp(body=body, orelse=orelse):
            yield body
            yield orelse
        case ast.If():
            yield _with_fields(node, test=ast.Constant(value=True))
            yield _with_fields(node, test=ast.Constant(value=False))
        case ast.While(test=test) if not isinstance(test, ast.Constant):
            yield _with_fields(node, test=ast.Constant(value=False))
        case ast.comprehension(ifs=[_, *_] as conditions):
            for index in range(len(conditions)):
                yield _with_fields(node, ifs=_remove_item(conditions, index))
        case ast.match_case(guard=ast.expr()):
            yield _with_fields(node, guard=None)
        case ast.Match(cases=[_, _, *_] as cases):
            for index in range(len(cases)):
                yield _with_fields(node, cases=_remove_item(cases, index))


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
    """Continue instead of raising an error."""
    if isinstance(node, ast.Raise):
        yield ast.Pass()


def catching(node: ast.AST) -> Iterator[ast.AST]:
    """Leave out one of the errors that are caught, or the only one."""
    match node:
        case ast.ExceptHandler(type=ast.Tuple(elts=[_, _, *_] as kinds)):
            for index in range(len(kinds)):
                rest = ast.Tuple(_remove_item(kinds, index), ast.Load())
                yield _with_fields(node, type=rest)
        case ast.ExceptHandler(type=ast.expr()):
            yield _with_fields(node, type=ast.Tuple([], ast.Load()))


def context(node: ast.AST) -> Iterator[ast.AST]:
    """Leave out a context manager whose value has no name."""
    if isinstance(node, ast.With):
        for index, item in enumerate(node.items):
            if item.optional_vars is None:
                rest = _remove_item(node.items, index)
                yield (
                    _with_fields(node, items=rest)
                    if rest
                    else ast.If(ast.Constant(value=True), node.body, [])
                )


def returning(node: ast.AST) -> Iterator[ast.AST]:
    """Return nothing, or the opposite of a truth value."""
    match node:
        case ast.Return(value=ast.Constant(value=None | bool())) | ast.Return(value=None):
            return
        case ast.Return():
            yield _with_fields(node, value=ast.Constant(None))


def arguments(node: ast.AST) -> Iterator[ast.AST]:
    """Drop a keyword of a call, or swap two neighboring positional arguments."""
    if not isinstance(node, ast.Call):
        return
    for index, keyword in enumerate(node.keywords):
        # `zip(…, strict=True)` is an assertion, which only a mistake elsewhere can fail.
        if keyword.arg not in {None, "strict"}:
            yield _with_fields(node, keywords=_remove_item(node.keywords, index))
    for index, (one, changed) in enumerate(zip(node.args, node.args[1:], strict=False)):
        if ast.dump(one) != ast.dump(changed) and not isinstance(one, ast.Starred):
            swapped = [*node.args[:index], changed, one, *node.args[index + 2 :]]
            yield _with_fields(node, args=swapped)


def opposite(node: ast.AST) -> Iterator[ast.AST]:
    """Call the opposite of a function: `max` for `min`, `all` for `any`."""
    match node:
        case ast.Call(func=ast.Name(id=name) as function) if name in _OPPOSITES:
            yield _with_fields(node, func=_with_fields(function, id=_OPPOSITES[name]))
        case ast.Call(func=ast.Attribute(attr=name) as function) if name in _OPPOSITES:
            yield _with_fields(node, func=_with_fields(function, attr=_OPPOSITES[name]))


def elements(node: ast.AST) -> Iterator[ast.AST]:
    """Drop one element of a list, a set or a dictionary that is written out."""
    match node:
        case ast.List(elts=[_, _, *_] as items, ctx=ast.Load()) | ast.Set(elts=[_, _, *_] as items):
            for index in range(len(items)):
                yield _with_fields(node, elts=_remove_item(items, index))
        case ast.Dict(keys=keys, values=values):
            for index in range(len(keys)):
                yield _with_fields(
                    node, keys=_remove_item(keys, index), values=_remove_item(values, index)
                )


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


def _is_string(node: ast.expr) -> bool:
    is_literal = isinstance(node, ast.Constant) and isinstance(node.value, str)
    return is_literal or isinstance(node, ast.JoinedStr)


def _with_fields(node: ast.AST, **fields: object) -> ast.AST:
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _replace_item(items: list[ast.cmpop], index: int, item: ast.cmpop) -> list[ast.cmpop]:
    return [*items[:index], item, *items[index + 1 :]]


def _remove_item(items: list[Any], index: int) -> list[Any]:
    return [*items[:index], *items[index + 1 :]]
