"""Tests of errors: a user reads one line, and a traceback only on request."""

import ast
import errno
import os
import subprocess
import sys
from importlib.metadata import version

import pytest
from typer.testing import CliRunner

from swath.cli import EXIT_BUG, EXIT_FAILED, EXIT_INPUT, app
from swath.cli.error_lines import MAX_ERROR_CHARACTERS
from swath.errors import RunIncompleteError, SceneError
from tests.helpers.documented import SOURCES


@pytest.fixture
def ends_with(monkeypatch, tmp_path):
    """Return a function that makes `swath run` raise an error and returns the printed text."""

    def end(error, *options):
        def fail(*_, **__):
            raise error

        monkeypatch.setattr("swath.pipeline.local.run_local", fail)
        words = ["run", "x.tif", "--model", "m", "--out", str(tmp_path)]
        return CliRunner().invoke(app, [*options, *words])

    return end


MISSING = (
    "torch is not installed: run `make setup` in swath's repository, or "
    "`pip install '.[torch]'` there"
)
UNFORESEEN = (
    "ZeroDivisionError: a b. This error is unexpected: please report it, with the output "
    "of the same command after `swath --debug`"
)


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (SceneError("no scene"), EXIT_INPUT, "no scene"),
        (RunIncompleteError("1 tile failed"), EXIT_FAILED, "1 tile failed"),
        (
            OSError(errno.ENOSPC, "No space left", "/out"),
            EXIT_FAILED,
            "[Errno 28] No space left: '/out'; free some space, or choose another folder",
        ),
        (
            PermissionError(errno.EACCES, "Not permitted", "/out"),
            EXIT_FAILED,
            "[Errno 13] Not permitted: '/out'; choose a folder or file that this user may access",
        ),
        (ModuleNotFoundError("no torch.nn", name="torch.nn"), EXIT_INPUT, MISSING),
        (ZeroDivisionError("a\nb"), EXIT_BUG, UNFORESEEN),
        (
            MemoryError(),
            EXIT_FAILED,
            "memory does not suffice; close other programs, or use a machine with more memory",
        ),
    ],
)
def test_an_error_is_one_line(ends_with, error, code, line):
    result = ends_with(error)

    assert result.exit_code == code
    assert result.stderr == f"error: {line}\n"
    assert not result.stdout


def test_a_long_line_is_cut_in_its_middle(ends_with):
    text = f"x.json holds {'y' * 100_000}; mend it"
    line = ends_with(SceneError(text)).stderr
    assert len(line) < MAX_ERROR_CHARACTERS + 50
    assert line.startswith("error: x.json holds yyy")
    assert line.endswith("yyy; mend it\n")


def test_the_traceback_is_there_for_those_who_ask(ends_with):
    result = ends_with(ZeroDivisionError("a"), "--debug")

    assert result.exit_code == EXIT_BUG
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("Traceback")
    assert last.startswith("error: ZeroDivisionError: a. This error is unexpected")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            ["run", "--modle", "x"],
            "No such option: --modle; did you mean --model? See `swath run --help`",
        ),
        (
            ["model", "optimize", "m", "--precision", "int1"],
            (
                "Invalid value for '--precision': 'int1' is not one of 'float16', 'int8'; "
                "see `swath model optimize --help`"
            ),
        ),
        (["--color"], "No such option: --color; see `swath --help`"),
        (["fly"], "No such command 'fly'; see `swath --help`"),
    ],
)
def test_a_wrong_word_is_one_line(words, line):
    result = CliRunner().invoke(app, words, prog_name="swath")

    assert result.exit_code == EXIT_INPUT
    assert result.stderr == f"error: {line}\n"


def test_what_a_terminal_would_obey_or_break_is_escaped(ends_with):
    result = ends_with(SceneError("no scene at a\nb\x1b[31m\udce9\u202e.tif"))

    assert result.stderr == r"error: no scene at a\nb\x1b[31m\udce9\u202e.tif" + "\n"


def test_the_version():
    result = CliRunner().invoke(app, ["--version"])

    assert (result.exit_code, result.stdout) == (0, f"swath {version('swath')}\n")


def test_who_stops_reading_is_no_error(ends_with):
    result = ends_with(BrokenPipeError(errno.EPIPE, "Broken pipe"))

    assert (result.exit_code, result.output) == (0, "")


@pytest.mark.parametrize("module", ["typer", "rich", "msgspec"])
def test_what_the_command_itself_needs_is_named_where_it_is_not_installed(module):
    """Check the error if swath is installed without the extra `cli`."""
    code = f"import sys; sys.modules[{module!r}] = None; from swath.__main__ import main; main()"

    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert ran.returncode == EXIT_INPUT
    assert ran.stderr.startswith(f"error: {module} is not installed: run `make")
    assert len(ran.stderr.splitlines()) == 1


def test_swath_is_a_module_that_can_be_run():
    ran = subprocess.run(
        [sys.executable, "-m", "swath", "--version"],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"COLUMNS": "80"},
    )

    assert ran.stdout == f"swath {version('swath')}\n"


def test_one_module_prints_and_makes_no_pictures_of_names():
    """Check that only one module prints. rich would print the `:secret:` of an ARN as an emoji."""
    calls = [
        (path.name, ast.unparse(call))
        for path in SOURCES
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call) and ast.unparse(call.func) == "Console"
    ]

    assert {name for name, _ in calls} == {"console.py"}
    assert all("emoji=False" in call for _, call in calls if call.startswith("Console"))


def test_names_that_look_like_pictures_are_printed_as_they_are(ends_with):
    text = "arn:aws:secretsmanager:eu-west-1:1:secret:x and :ship:"

    assert text in ends_with(SceneError(text)).output
