"""Commands that the documentation shows: each is one that swath takes."""

import re
import shlex
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command
from typer.testing import CliRunner

from swath import storage
from swath.cli import app
from swath.packing import pack
from swath.training.options import TrainOptions
from tests.stacks import deployed

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_BLOCK = re.compile(
    r"^```(?:bash|sh|console)?\n(.*?)^```|((?:^ {4}.*\n)+)", re.DOTALL | re.MULTILINE
)


def commands_of(page):
    """The command lines of a page that call swath, each as its words."""
    for block in _BLOCK.finditer(page.read_text()):
        text = (block[1] or block[2]).replace("\\\n", " ")
        for line in text.splitlines():
            if command := re.match(r"\s*(?:\$ )?swath (.*)", line):
                yield shlex.split(command[1], comments=True)


COMMANDS = [(page.name, words) for page in PAGES for words in commands_of(page)]


@pytest.mark.parametrize(
    ("page", "words"), COMMANDS, ids=[f"{page}-{' '.join(words)}" for page, words in COMMANDS]
)
def test_a_command_is_one_that_swath_takes(page, words):
    command = get_command(app)
    context = command.make_context("swath", [], resilient_parsing=True)
    while isinstance(command, TyperGroup):
        name, words = words[0], words[1:]
        command = command.get_command(context, name)
        assert command is not None, f"there is no command {name}"
    # It is parsed and not run; what cannot be parsed is a UsageError.
    command.make_context(name, list(words), parent=context)


def test_commands_are_found():
    assert {words[0] for _, words in COMMANDS} >= {
        "train",
        "tune",
        "evaluate",
        "transform",
        "model",
    }


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
        "words",
        [words for words in commands_of(PAGE) if words[0] != "model"],
        ids=" ".join,
    )
    def test_a_job_is_launched(self, words):
        # moto has no price list.
        more = [] if words[0] == "transform" else ["--hourly-price=1", "--yes"]

        told = CliRunner().invoke(app, [*words, *more])

        assert told.exit_code == 0, told.output
        assert "started the " in told.output
