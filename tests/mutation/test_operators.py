"""Tests of the operators: each one's replacement in a line of source."""

import ast

import pytest

from mutation.operators import OPERATORS


def changed(operator, source):
    """The mutants of the first node of a source that the operator changes."""
    for node in ast.walk(ast.parse(source)):
        if found := [ast.unparse(ast.fix_missing_locations(n)) for n in OPERATORS[operator](node)]:
            return found
    return []


@pytest.mark.parametrize(
    ("operator", "source", "mutants"),
    [
        ("comparison", "a < b", ["a <= b"]),
        ("comparison", "0 <= a != b", ["0 < a != b", "0 <= a == b"]),
        ("comparison", "a not in b", ["a in b"]),
        ("boolean", "a and b", ["a or b", "b", "a"]),
        ("boolean", "not a", ["a"]),
        ("boolean", "~a", ["a"]),
        ("arithmetic", "a - b", ["a + b"]),
        ("arithmetic", "a += 1", ["a -= 1"]),
        ("arithmetic", "-a", ["a"]),
        ("arithmetic", "'a' + b", []),
        ("constant", "7", ["8"]),
        ("constant", "True", ["False"]),
        ("constant", "0.5", ["2.0"]),
        ("constant", "'ab'", ["'abX'"]),
        ("slices", "a[1:2]", [":2", "1:"]),
        ("branch", "a if b else c", ["a", "c"]),
        ("branch", "if a:\n    b()", ["if True:\n    b()", "if False:\n    b()"]),
        ("branch", "while True:\n    b()", []),
        ("branch", "while a:\n    b()", ["while False:\n    b()"]),
        ("statement", "f(a)", ["pass"]),
        ("statement", "a = 1", []),
        ("statement", "a.b = 1", ["pass"]),
        ("raising", "raise A", ["pass"]),
        ("returning", "def f():\n    return a", ["return None"]),
        ("returning", "def f():\n    return None", []),
        ("context", "with a:\n    b()", ["if True:\n    b()"]),
        ("context", "with a as b, c:\n    d()", ["with a as b:\n    d()"]),
        ("context", "with a as b:\n    d()", []),
        ("arguments", "f(a, b, c=1)", ["f(a, b)", "f(b, a, c=1)"]),
        ("arguments", "f(a, a, **b)", []),
        ("opposite", "min(a)", ["max(a)"]),
        ("opposite", "np.any(a)", ["np.all(a)"]),
        ("elements", "[a, b]", ["[b]", "[a]"]),
        ("elements", "{'a': b}", ["{}"]),
        ("elements", "[a]", []),
    ],
)
def test_what_comes_in_the_place_of_a_node(operator, source, mutants):
    assert changed(operator, source) == mutants


def test_one_of_the_errors_that_are_caught_is_left_out():
    source = "try:\n    f()\nexcept (A, B):\n    pass"
    assert [m.splitlines()[0] for m in changed("catching", source)] == [
        "except (B,):",
        "except (A,):",
    ]
    assert changed("catching", source.replace("(A, B)", "A"))[0].startswith("except ():")


def test_conditions_of_sql_are_dropped_unless_they_have_a_parameter():
    source = "'SELECT a WHERE b = %s AND c > 1 AND d IS NULL AND e <> %s LIMIT 1'"

    assert [ast.literal_eval(m) for m in changed("sql", source)] == [
        "SELECT a WHERE b = %s AND c >= 1 AND d IS NULL AND e <> %s LIMIT 1",
        "SELECT a WHERE b = %s AND c > 1 AND d IS NULL AND e = %s LIMIT 1",
        "SELECT a WHERE b = %s AND d IS NULL AND e <> %s LIMIT 1",
        "SELECT a WHERE b = %s AND c > 1 AND e <> %s LIMIT 1",
    ]
    assert changed("constant", source) == []
