"""The first words of docstrings are no fragments, and pages use the words of the field."""

import ast
import re

import pytest

from tests.helpers.documented import PAGES, ROOT

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
PROSE = sorted({*ROOT.glob("*.md"), *PAGES})
"""Pages that are written by hand."""
VAGUE = re.compile(
    r"\b(told|tells?|telling|finds?|found|findings?|places?|placed|placing|ways?|looks? at"
    r"|stands? for|hangs? together|takes? up|taken up|mend(s|ed|ing)?|fates?|doubles)\b",
    re.IGNORECASE,
)
"""Words of pages for which the field has its own, such as detect, position, mode, resume."""
IDIOMS = re.compile(r"\bin\s+place\b|\bdecimal\s+places\b", re.IGNORECASE)
CODE = re.compile(r"^```.*?^```|(`+).+?\1", re.DOTALL | re.MULTILINE)
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


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_pages_use_the_words_of_the_field(page):
    without_code = CODE.sub("", page.read_text())

    assert [words[0] for words in VAGUE.finditer(IDIOMS.sub("", without_code))] == []


@pytest.mark.parametrize("text", ["it is found", "in the same place", "one\nway", "two findings"])
def test_vague_words_are_noticed(text):
    assert VAGUE.search(text)


@pytest.mark.parametrize(
    "text", ["in place", "ten decimal\nplaces", "a placeholder", "`find_cause`", "always"]
)
def test_idioms_and_code_are_left_out(text):
    assert not VAGUE.search(IDIOMS.sub("", CODE.sub("", text)))


@pytest.mark.parametrize(
    "text", ["Of the tiles.", "The same of places.", "What a tile holds.", "How many there are."]
)
def test_fragments_are_noticed(text):
    assert FRAGMENT.match(text)
