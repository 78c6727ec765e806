"""The first words of docstrings: a sentence with a verb, or a noun phrase, and no fragment."""

import ast
import re

import pytest

from tests.helpers.documented import ROOT

FOLDERS = (
    *("src", "infra", "lambdas", "batch_jobs", "sagemaker_jobs", "local_cloud", "examples"),
    *("benchmarks", "mutation"),
)
FILES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))
FRAGMENT = re.compile(
    r"(Of|The same|See there|What|How (many|much|far|long|often)|Where|Which|Likewise"
    r"|Those|That which|Within|Whatever|Whoever)\b"
)
"""Openings of a docstring that have no subject or no verb: CONTRIBUTING.md has the rules."""
HOLDERS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(tree):
    """Yield line and text of each docstring, and of each string below a field or a constant."""
    for node in ast.walk(tree):
        if isinstance(node, HOLDERS):
            for one in node.body:
                if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                    text = one.value.value
                    if isinstance(text, str):
                        yield one.lineno, text.strip()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_docstrings_begin_with_a_verb_or_a_noun(path):
    found = docstrings(ast.parse(path.read_text()))
    assert [f"line {line}: {text[:60]}" for line, text in found if FRAGMENT.match(text)] == []


@pytest.mark.parametrize(
    "text", ["Of the tiles.", "The same of places.", "What a tile holds.", "How many there are."]
)
def test_fragments_are_noticed(text):
    assert FRAGMENT.match(text)
