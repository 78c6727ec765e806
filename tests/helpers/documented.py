"""The commands that README, the pages of docs and messages of the code show."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECIPES = sorted((ROOT / "docs" / "recipes").glob("*.toml"))
PAGES = [
    ROOT / "README.md",
    # docs/errors.md has the commands that cannot be used.
    *sorted(page for page in (ROOT / "docs").glob("*.md") if page.name != "errors.md"),
]
SOURCES = [
    path
    for folder in ("src", "local_cloud", "infra", "batch_jobs", "sagemaker_jobs", "lambdas")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
PROGRAMS = {
    "aws",
    "cat",
    "curl",
    "docker",
    "exec",
    "export",
    "gdal_edit.py",
    "gdal_translate",
    "head",
    "make",
    "mmdebstrap",
    "mv",
    "npx",
    "ogr2ogr",
    "pip",
    "psql",
    "pytest",
    "python",
    "rm",
    "source",
    "swath",
    "unzip",
    "uv",
}
"""Programs with which a documented command line begins."""
LEFT_OUT = "…"
"""Stands in a sentence for the words of a command that do not matter there."""
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```\n?", re.DOTALL | re.MULTILINE)
_HEREDOC = re.compile(r"<<'(\w+)'.*?\n\1\n", re.DOTALL)
_SPAN = re.compile(r"(?<!`)`([^`\n]+(?:\n[^`\n]+)?)`(?!`)")
_ASSIGNMENT = re.compile(r"[A-Z_]+=")


def blocks(page: Path) -> Iterator[tuple[str, str]]:
    """Yield the fenced blocks of a page or recipe: the language and the text."""
    text = page.read_text()
    if page in RECIPES:
        # Indented within the comment above the options.
        yield "sh", "".join(f"{line}\n" for line in re.findall(r"^#   (.*)", text, re.MULTILINE))
        return
    for fence in _FENCE.finditer(text):
        yield fence[1], fence[2]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the command lines of a page's shell blocks, each as its words, in their order.

    Pipes, `&&` and command substitutions divide a line into commands; variables that are set in
    front of a command are left out.
    """
    for language, text in blocks(page):
        if language == "sh":
            joined = _HEREDOC.sub("\n", text).replace("\\\n", " ")
            for line in joined.splitlines():
                yield from _divided(line)


def _divided(line: str) -> Iterator[list[str]]:
    inner = re.search(r"\$\((.*?)\)", line)
    if inner:
        yield from _divided(inner[1])
        line = line.replace(inner[0], "X")
    command: list[str] = []
    for word in [*shlex.split(line, comments=True), "&&"]:
        if word in {"|", "&&", "||", ";"}:
            while command and _ASSIGNMENT.match(command[0]):
                command.pop(0)
            if command:
                # The program, wherever it lies.
                yield [command[0].rsplit("/", 1)[-1], *command[1:]]
            command = []
        else:
            command.append(word)


def spans(page: Path) -> Iterator[str]:
    """Yield the pieces of code within the sentences of a page."""
    for span in _SPAN.finditer(_FENCE.sub("\n", page.read_text())):
        yield " ".join(span[1].split())


def messages(path: Path) -> Iterator[str]:
    """Yield the pieces of code within the texts of a module, but for its docstrings' lines."""
    for node in ast.walk(ast.parse(path.read_text())):
        text = ""
        if isinstance(node, ast.JoinedStr):
            parts = (getattr(part, "value", None) for part in node.values)
            text = "".join(part if isinstance(part, str) else "X" for part in parts)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            text = node.value
        for span in _SPAN.finditer(text):
            yield " ".join(span[1].split())


def words(text: str) -> list[str]:
    """Return the words of a command within a sentence; none where it is no command."""
    try:
        found = shlex.split(text)
    except ValueError:
        return []
    while found and _ASSIGNMENT.match(found[0]):
        found.pop(0)
    return found if found and found[0] in PROGRAMS else []
