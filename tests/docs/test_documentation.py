"""Tests of the documentation: what README and docs tell a newcomer to type exists."""

import re
import tomllib
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import pytest

from infra.settings import DeploySettings
from tests.helpers.documented import (
    LEFT_OUT,
    PAGES,
    PROGRAMS,
    ROOT,
    SOURCES,
    blocks,
    commands,
    messages,
    spans,
    words,
)

YOURS = {
    *(
        "B02.tif",
        "B03.tif",
        "B04.tif",
        "item.json",
        "port.geojson",
        "a.tif",
        "b.tif",
        "best.onnx",
        "chip.tif",
        "chips/*.png",
        "floats.tif",
        "labels.json",
    ),
    *(
        "detections.geojson",
        "large.tif",
        "options.toml",
        "port.tif",
        "scene.tif",
        "scenes/",
        "search.toml",
        "ships.toml",
    ),
    *("item.json", "T31UDQ/", *(f"B{band}.tif" for band in ("02", "03", "04", "08", "11"))),
    *("unet.onnx", "unet.pt2", "val.json", "candidate/", "models/boats"),
}
"""Names that stand for a reader's own files; those of s3:// are told on their pages."""
MADE = {
    *("build/demo/harbour.tif", "cdk.out", "global-bundle.pem", "root.tar", "trained/package"),
    *("aws_sam_cli-*.whl", "samcli/local/rapid/aws-lambda-rie-x86_64"),
    *("python/cpython-3.12*", "lang/lib/python3.12/EXTERNALLY-MANAGED"),
}
"""Files that a command on the page makes, or brings."""
_OUT = {"--out", "--out-file", "--to", ">", "--install-dir", "--tag"}
_FILE = re.compile(r"(?:[\w.*-]+/)*[\w.*-]+(?:/|\.(?!\d)[a-z]\w+)")
_TARGET_OF_LINK = re.compile(r"(?<=\])\([^)]*\)")
MAX_LINE = 100
"""Characters in a line of prose."""
EVERY_PAGE = sorted(
    path
    for folder, pattern in (
        (ROOT, "*.md"),
        (ROOT / "docs", "*.md"),
        (ROOT / "sagemaker_jobs", "*.md"),
    )
    for path in folder.glob(pattern)
)
_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)
MAKEFILE = (ROOT / "Makefile").read_text()


def everywhere():
    """Each command of all pages and messages, with where it is shown, whole or in part."""
    for page in PAGES:
        for command in commands(page):
            yield page.name, command
        for span in spans(page):
            yield page.name, words(span)
    for path in SOURCES:
        for span in messages(path):
            yield path.name, words(span)


EVERYWHERE = [*everywhere()]


def shown(program):
    return [(where, command) for where, command in EVERYWHERE if command[:1] == [program]]


def each(program):
    """Parametrize a test by the commands that call a program."""
    cases = {f"{where}: {' '.join(command)}": command for where, command in shown(program)}
    return pytest.mark.parametrize("command", [*cases.values()], ids=[*cases])


def test_shell_blocks_say_that_they_are_some():
    """Check that only marked blocks have commands, each of a known program."""
    programs = "|".join(re.escape(name) for name in PROGRAMS)
    line = re.compile(rf"(?:\$ |    )?(?:{programs}) ", re.MULTILINE)

    unmarked = [
        (page.name, text) for page in PAGES for language, text in blocks(page)
        if language in {"", "bash", "console", "shell"} and line.match(text)
    ]  # fmt: skip
    indented = [
        (page.name, found[0])
        for page in PAGES
        for found in re.finditer(rf"\n\n    (?:{programs}) .*", page.read_text())
    ]
    unknown = {
        (page.name, command[0])
        for page in PAGES
        for command in commands(page)
        if command[0] not in PROGRAMS
    }

    assert unmarked == indented == []
    assert unknown == set()


@each("make")
def test_make_has_the_target_and_reads_the_variable(command):
    targets = [word for word in command[1:] if "=" not in word]
    variables = [word.split("=")[0] for word in command[1:] if "=" in word]

    assert set(targets) <= set(_TARGET.findall(MAKEFILE))
    assert all(f"$({name})" in MAKEFILE for name in variables)


@each("pip")
def test_swath_is_installed_from_its_repository(command):
    """It is on no index."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    for word in command[2:]:
        assert not word.startswith("swath"), word
        if of_swath := re.fullmatch(r"\.\[(.*)\]", word):
            assert {*of_swath[1].split(",")} <= {*extras, "X"}


@each("python")
def test_modules_that_are_run_are_there(command):
    assert command[1] == "-m"
    assert find_spec(command[2])


@each("npx")
def test_deploy_settings_are_some(command):
    chosen = [word for word in command if word.startswith("swath:")]

    DeploySettings.from_values(dict(word.removeprefix("swath:").split("=", 1) for word in chosen))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_commands_name_are_there_or_are_the_readers(page):
    made = set(MADE)
    for command in commands(page):
        for before, word in pairwise(command):
            if before == "-m":
                continue
            if before in _OUT:
                made.add(word.rstrip("/"))
                continue
            name = word.removeprefix("@").removeprefix("fileb://").removeprefix("ARGS=")
            if _FILE.fullmatch(name) and command[0] != "docker":
                known = name in YOURS or any(
                    name.rstrip("/") == one or name.startswith(f"{one}/") for one in made
                )
                assert known or [*ROOT.glob(name)], f"{' '.join(command)}: there is no {name}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_of_the_repository_that_sentences_name_are_there(page):
    files = [str(path.relative_to(ROOT)) for path in repository()]
    for span in spans(page):
        named = re.fullmatch(r"((?:[\w-]+/)*[\w-]+\.(?:py|toml))(?:::(\w+))?", span)
        if named and (span.startswith("tests") or "/" in span or named[2]):
            found = [path for path in files if f"/{path}".endswith(f"/{named[1]}")]
            assert found or named[1] in YOURS, f"there is no {named[1]}"
            if named[2]:
                assert any(f"def {named[2]}(" in (ROOT / path).read_text() for path in found), span


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\((?!https?:)([^)#]*)(#[^)]*)?\)", page.read_text()):
        assert (page.parent / target[0]).exists(), target[0]


def lines_of(page):
    """Yield each line outside of code blocks, with its number."""
    inside = False
    for number, line in enumerate(page.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            inside = not inside
        elif not inside:
            yield number, line


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_lines_of_prose_are_short(page):
    """Tables may be wide, and a link's address cannot be divided."""
    long = [
        f"line {number}: {line[:60]}"
        for number, line in lines_of(page)
        if not line.lstrip().startswith("|") and len(_TARGET_OF_LINK.sub("", line)) > MAX_LINE
    ]

    assert long == []


@pytest.mark.parametrize("page", EVERY_PAGE, ids=lambda page: page.name)
def test_each_column_of_a_table_has_a_header(page):
    untitled = [
        f"line {number}: {header}"
        for (number, header), (_, rule) in pairwise(lines_of(page))
        if re.fullmatch(r" *\|[-:| ]+\|", rule) and not all(map(str.strip, columns(header)))
    ]

    assert untitled == []


def columns(row):
    return row.strip().removeprefix("|").removesuffix("|").split("|")


def repository():
    """The Python and TOML files of the repository."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and not ignored(path)]
    for ending in ("*.py", "*.toml"):
        yield from ROOT.glob(ending)
        for folder in folders:
            yield from folder.rglob(ending)


def ignored(path: Path) -> bool:
    return path.name.startswith(".") or path.name in {"build", "cdk.out", "node_modules"}


def test_commands_are_found():
    assert len(shown("make")) > 30
    assert len(shown("npx")) > 5
    assert any(LEFT_OUT in command for _, command in EVERYWHERE)
    assert any(where == "extras.py" for where, _ in shown("pip"))
