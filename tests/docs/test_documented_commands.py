"""Commands that the documentation and messages show: each is one that swath takes."""

import re

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from local_cloud.__main__ import app as local_cloud
from swath import storage
from swath.cli import app
from swath.models.packing import pack
from swath.training.options import TrainOptions
from tests.helpers.documented import (
    LEFT_OUT,
    PAGES,
    RECIPES,
    ROOT,
    SOURCES,
    commands,
    messages,
    spans,
    words,
)
from tests.helpers.stacks import deployed

COMMANDS = [
    (page.name, command[1:])
    for page in [*PAGES, *RECIPES]
    for command in commands(page)
    if command[0] == "swath"
]
MENTIONED = sorted(
    {
        span
        for texts in ([spans(page) for page in PAGES], [messages(path) for path in SOURCES])
        for text in texts
        for span in text
        if re.match(r"swath [a-z-]", span) and words(span)
    }
)
COMPLETION = {"--install-completion", "--show-completion"}
"""Options that typer adds where it is run."""
OTHERS = {
    *("--bootstrap-customer-key", "--bootstrap-kms-key-id", "--rollback-buffer-days"),  # cdk
    "--output",  # docker
    "--record",  # mutation
}
"""Options of other programs that sentences mention by themselves."""


def resolved(command):
    """The command that words ask for, its context and the words that are left for it."""
    found = get_command(app)
    context = found.make_context("swath", [], resilient_parsing=True)
    given = list(command)
    while isinstance(found, TyperGroup) and given:
        if given[0].startswith("-"):
            return found, context, given
        name = given.pop(0)
        found = found.get_command(context, name)
        assert found is not None, f"there is no command {name}"
    if command[:2] == ["local", "up"]:
        found = get_command(local_cloud)
    return found, context, given


def options_of(command):
    return {
        name
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
        if name.startswith("-")
    } | {"--help"}


@pytest.mark.parametrize(
    ("page", "command"), COMMANDS, ids=[f"{page}-{' '.join(command)}" for page, command in COMMANDS]
)
def test_a_command_is_one_that_swath_takes(page, command):
    if ">" in command:
        command = command[: command.index(">")]
    found, context, given = resolved(command)
    if command[0].startswith("-"):
        # To parse such an option is to do what it says.
        assert set(given) <= options_of(found) | COMPLETION
        return

    # It is parsed and not run; what cannot be parsed is an error.
    found.make_context(command[0], given, parent=context)


@pytest.mark.parametrize("mentioned", MENTIONED)
def test_a_command_that_a_sentence_mentions_has_the_options_that_it_names(mentioned):
    """Some of its words may be left out."""
    found, _, given = resolved(
        [word for word in words(mentioned)[1:] if word not in {LEFT_OUT, "..."}]
    )

    named = {word.split("=")[0] for word in given if re.match(r"--?[a-z]", word)}
    assert named <= options_of(found)


def test_an_option_that_a_sentence_names_by_itself_is_one_of_some_command():
    known = {*OTHERS}
    waiting = [get_command(app), get_command(local_cloud)]
    for command in waiting:
        known |= options_of(command)
        waiting.extend(getattr(command, "commands", {}).values())

    unknown = {
        (where.name, span)
        for where, texts in (
            *((page, spans(page)) for page in PAGES),
            *((path, messages(path)) for path in SOURCES if "cli" in path.relative_to(ROOT).parts),
        )
        for span in texts
        if (name := re.match(r"(--[a-z][a-z-]+)\b", span)) and name[1] not in known
    }

    assert unknown == set()


def test_commands_are_found():
    assert {command[0] for _, command in COMMANDS} >= {
        *("evaluate", "invoke", "local", "model", "run", "train", "transform", "tune")
    }
    assert "swath model show X" in MENTIONED


class TestLaunching:
    """The commands of the page on jobs, against a stack whose buckets are named as there."""

    PAGE = ROOT / "docs" / "launching.md"

    @pytest.fixture(autouse=True)
    def account(self, package, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        search = re.search(r"```toml\n(.*?)```", self.PAGE.read_text(), re.DOTALL)[1]
        (tmp_path / "search.toml").write_text(search)
        (tmp_path / "ships.toml").write_text('name = "ships"\n')
        pack(package, tmp_path / "model.tar.gz")
        begun = TrainOptions(name="ships").digest
        with deployed():
            storage.copy("model.tar.gz", "s3://my-data/ships/model.tar.gz")
            storage.write_bytes("s3://my-data/chips/a.tif", b"pixels")
            storage.write_bytes(
                f"s3://results/training/checkpoints/0a1b/{begun}/checkpoint.pt", b"weights"
            )
            yield

    @pytest.mark.parametrize(
        "command",
        [
            command[1:]
            for command in commands(PAGE)
            if command[0] == "swath" and command[1] != "model"
        ],
        ids=" ".join,
    )
    def test_a_job_is_launched(self, command):
        # moto has no price list.
        more = [] if command[0] == "transform" else ["--hourly-price=1", "--yes"]

        told = CliRunner().invoke(app, [*command, *more])

        assert told.exit_code == 0, told.output
        assert "started the " in told.output
