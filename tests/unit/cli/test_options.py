"""Tests of the command line as a whole: the help texts, and one meaning for each option."""

import re
import shlex
from typing import get_args

import pytest
from typer.core import TyperArgument, TyperGroup, TyperOption
from typer.main import get_command
from typer.testing import CliRunner

from local_cloud.__main__ import app as local_cloud
from swath.cli import EXIT_INPUT, app
from swath.cli.options.inputs import OutputFormat
from swath.cli.options.jobs import ON_SAGEMAKER, ON_THIS_MACHINE
from swath.storage.output_folder import VECTOR_FILES, VectorFormat


def walk(command, path):
    """Yield the path and the command of each command below `command`."""
    yield path, command
    if isinstance(command, TyperGroup):
        for name, below in command.commands.items():
            yield from walk(below, (*path, name))


EVERY = list(walk(get_command(app), ("swath",)))
LEAVES = [(path, command) for path, command in EVERY if not isinstance(command, TyperGroup)]
PROGRAMS = [*LEAVES, (("python", "-m", "local_cloud"), get_command(local_cloud))]


def named(items):
    return {"argvalues": items, "ids": [" ".join(path) for path, *_ in items]}


def params():
    """Yield each argument and option of each command, with the command's path."""
    for path, command in [*EVERY, *PROGRAMS[-1:]]:
        for param in command.get_params(command.make_context("x", [], resilient_parsing=True)):
            yield path, param


def spelled(param):
    """Return the name of a parameter as a user types it."""
    return param.metavar if isinstance(param, TyperArgument) else max(param.opts, key=len)


def kind(param):
    return str(param.type_descriptor.annotation).removesuffix(" | None")


def test_a_name_means_the_same_in_every_command():
    meanings = {}
    for path, param in params():
        meaning = (kind(param), param.metavar, param.help, *param.opts, *param.secondary_opts)
        meanings.setdefault((type(param), spelled(param)), {}).setdefault(meaning, []).append(path)

    several = {name for (_, name), known in meanings.items() if len(known) > 1}
    # `train`, `tune` and `evaluate` read labels in a format; `run` writes files in a format.
    # `run` takes a package, `drop` the name of a deployed model, and `plan` either.
    assert several == {"--format", "--model"}


def test_run_takes_each_format_that_there_is():
    assert [*OutputFormat] == ["parquet", *VECTOR_FILES]
    assert get_args(VectorFormat) == (*VECTOR_FILES,)


OWN = [(path, spelled(param), param) for path, param in params() if spelled(param) != "--help"]


@pytest.mark.parametrize(
    ("path", "name", "param"), OWN, ids=[f"{' '.join(path)}:{name}" for path, name, _ in OWN]
)
def test_each_argument_and_option_has_a_metavar_and_a_sentence(path, name, param):
    assert param.metavar is not None, "give it a metavar: typer's own is the type of Python"
    assert re.fullmatch(r"[A-Z].*\.", param.help) or param.help.startswith("libpq")
    assert not re.match(r"(Of|What|Those|Whether|Where|How|By|From)\b", param.help)
    if isinstance(param, TyperOption):
        assert param.multiple == param.help.endswith("Repeatable.")


@pytest.mark.parametrize(("path", "command"), **named(EVERY))
def test_each_command_says_what_it_does(path, command):
    first, *paragraphs = (command.help or "").split("\n\n")
    assert re.fullmatch(r"[A-Z][^\n]*", first)
    assert not any("\n" in paragraph for paragraph in paragraphs)


@pytest.mark.parametrize(("path", "command"), **named(PROGRAMS))
def test_each_example_is_one_that_can_be_typed(path, command):
    title, *lines = command.epilog.splitlines()
    assert title in {"Example:", "Examples:"}
    for line in lines:
        assert len(line) < 80, "it is broken on a terminal of 80 columns"
        words = shlex.split(line.removeprefix("$ ").partition(" > ")[0])
        expected = ("swath", "local", "up") if path[0] == "python" else path
        assert tuple(words[: len(expected)]) == expected
        # The command is parsed and not run. A parsing failure is a UsageError.
        command.make_context(words[-1], words[len(expected) :])


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(("path", "command"), **named(EVERY))
def test_no_help_cuts_a_word(path, command, columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))

    shown = CliRunner().invoke(
        app, [*path[1:], "--help"], prog_name="swath", terminal_width=columns
    )

    assert shown.exit_code == 0
    assert "…" not in shown.stdout
    assert not re.search(r"<[a-z]+(\[\w+\])?( range)?>", shown.stdout), "a type of Python"
    assert max(map(len, shown.stdout.splitlines())) <= columns
    for param in command.get_params(command.make_context("x", [], resilient_parsing=True)):
        assert re.search(rf"(?<![\w-]){re.escape(spelled(param))}(?![\w-])", shown.stdout)
        if param.metavar:
            assert re.search(rf"(?<!\w){re.escape(param.metavar)}(?!\w)", shown.stdout)


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train", "l", "s", "--form", "coco"], "No such option: --form; did you mean --format?"),
        (["evaluate", "--class", "a"], "No such option: --class; did you mean --classes?"),
        (["model", "optimise"], "No such command 'optimise'. Did you mean 'optimize'?"),
        (["lokal"], "No such command 'lokal'. Did you mean 'local'?"),
        (["local", "up", "--prot", "1"], "No such option: --prot; did you mean --port?"),
    ],
)
def test_what_was_meant_is_named(words, line):
    result = CliRunner().invoke(app, words, prog_name="swath")

    assert result.exit_code == EXIT_INPUT
    assert re.fullmatch(rf"error: {re.escape(line)} See `swath.* --help`\n", result.stderr)


def test_the_local_cloud_names_the_command_in_its_errors():
    result = CliRunner().invoke(local_cloud, ["--prot", "1"], prog_name="swath local up")

    assert result.exit_code == EXIT_INPUT
    assert result.stderr == (
        "error: No such option: --prot; did you mean --port? See `swath local up --help`\n"
    )


@pytest.mark.parametrize("command", ["train", "tune", "evaluate"])
@pytest.mark.parametrize(
    ("panel", "more", "says"),
    [
        (ON_SAGEMAKER, ["--out", "x"], "applies only to jobs on SageMaker; omit it, or add"),
        (ON_THIS_MACHINE, ["--on-sagemaker"], "applies only to this machine; omit it, or"),
    ],
)
def test_an_option_of_the_other_place_is_refused(command, panel, more, says):
    (params,) = [known.params for path, known in LEAVES if path == ("swath", command)]
    words = [command, *(["m"] if command == "evaluate" else []), "l.json", "scenes", *more]
    words += ["--search", "s.toml"] if command == "tune" else []
    options = [param for param in params if getattr(param, "rich_help_panel", None) == panel]
    assert options
    for option in options:
        value = [] if option.is_flag else ["3"]
        result = CliRunner().invoke(app, [*words, option.opts[0], *value])

        assert result.exit_code == EXIT_INPUT
        assert result.stderr.startswith(f"error: {option.opts[0]} {says}")
