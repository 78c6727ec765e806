"""The English of docstrings, messages, comments, pages and names: CONTRIBUTING.md has the rules."""

import ast
import io
import re
import tokenize

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
    r"\b(told|tells?|telling|finds?|found|findings?|places?|placed|placing|ways?"
    r"|look(s|ed|ing)? at|st(and|ands|ood|anding) for|ma(ke|kes|de|king) of"
    r"|h(ang|angs|ung|anging) together|t(ake|akes|ook|aken|aking) up|mend(s|ed|ing)?|fates?"
    r"|patience|doubles)\b",
    re.IGNORECASE,
)
"""Words for which the field has its own, such as detect, position, mode, resume."""
IDIOMS = re.compile(
    r"\bin\s+place\b|\bdecimal\s+places\b|^(404 )?Not Found$|^ not found\.$|\(patience\)",
    re.IGNORECASE,
)
"""Idioms, whole texts of HTTP and AWS, and an option of a training."""
NAMES = re.compile(
    r"(^|_)(of|told|tell|found|findings?|places?|ways?|fates?|patience|mends?|doubles|seen|take_up"
    r"|sort_out|settled?|judged?|most|least|neighbours?|colours?|grey|centre|catalogue|licence"
    r"|analyse|optimise|normalise|polygonise|serialise|unlabelled)(_|$)",
    re.IGNORECASE,
)
"""Parts of names that do not say what is meant, or that are not spelled as in America."""
NAMED_IDIOMS = re.compile(r"out_of|in_place|not_found|at_least|at_most|^patience$", re.IGNORECASE)
"""Idioms in names, and an option of a training."""
CODE = re.compile(r"^```.*?^```|(`+).+?\1", re.DOTALL | re.MULTILINE)
HOLDERS = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def without_idioms(text):
    return IDIOMS.sub("", CODE.sub("", text))


def texts(source):
    """Yield line and text of each docstring, message and comment of a module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def definitions(source):
    """Yield line and name of each function, class and argument, and of each field and constant."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                yield node.lineno, node.name
            case ast.arg():
                yield node.lineno, node.arg
        if isinstance(node, ast.Module | ast.ClassDef):
            for one in node.body:
                for target in ast.walk(one) if isinstance(one, ast.Assign | ast.AnnAssign) else ():
                    if isinstance(target, ast.Name) and isinstance(target.ctx, ast.Store):
                        yield target.lineno, target.id


def is_vague_name(name):
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name)
    return bool(NAMES.search(NAMED_IDIOMS.sub("", words)))


def docstrings(tree):
    """Yield line and text of each docstring, and of each string below a field or a constant."""
    for node in ast.walk(tree):
        if isinstance(node, HOLDERS):
            for one in node.body:
                if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant):
                    text = one.value.value
                    if isinstance(text, str):
                        yield one.lineno, text.strip()


@pytest.mark.parametrize(
    "path",
    [*FILES, *sorted((ROOT / "tests").rglob("*.py"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_docstrings_begin_with_a_verb_or_a_noun(path):
    found = docstrings(ast.parse(path.read_text()))
    assert [f"line {line}: {text[:60]}" for line, text in found if FRAGMENT.match(text)] == []


@pytest.mark.parametrize("page", PROSE, ids=lambda page: page.name)
def test_pages_use_the_words_of_the_field(page):
    assert [words[0] for words in VAGUE.finditer(without_idioms(page.read_text()))] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_texts_use_the_words_of_the_field(path):
    vague = [
        f"line {line}: {words[0]}: {text[:60]}"
        for line, text in texts(path.read_text())
        for words in VAGUE.finditer(without_idioms(text))
    ]
    assert vague == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_names_use_the_words_of_the_field(path):
    names = definitions(path.read_text())
    assert [f"line {line}: {name}" for line, name in names if is_vague_name(name)] == []


@pytest.mark.parametrize("name", ["tiles_of", "of_tiles", "_FoundBox", "colours", "MOST_TILES"])
def test_vague_names_are_noticed(name):
    assert is_vague_name(name)


@pytest.mark.parametrize("name", ["offset", "from_tiles", "placeholder", "almost", "profile"])
def test_plain_names_pass(name):
    assert not is_vague_name(name)


@pytest.mark.parametrize("text", ["it is found", "in the same place", "one\nway", "two findings"])
def test_vague_words_are_noticed(text):
    assert VAGUE.search(text)


@pytest.mark.parametrize(
    "text", ["in place", "ten decimal\nplaces", "a placeholder", "`find_cause`", "always"]
)
def test_idioms_and_code_are_left_out(text):
    assert not VAGUE.search(without_idioms(text))


@pytest.mark.parametrize(
    "text", ["Of the tiles.", "The same of places.", "What a tile holds.", "How many there are."]
)
def test_fragments_are_noticed(text):
    assert FRAGMENT.match(text)
