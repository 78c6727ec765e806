import re
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from swath import errors
from swath.cli import app
from swath.errors.exit_codes import CommandExit, JobExit

PAGE = (Path(__file__).parents[3] / "docs" / "cli.md").read_text()


def test_the_page_has_each_code_and_its_meaning():
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.+) \|$", PAGE, re.MULTILINE)

    expected = [(str(int(one)), one.name, one.meaning) for one in (*CommandExit, *JobExit)]
    assert rows == expected


def test_the_page_has_each_command_and_what_it_does():
    def leaves(command, words):
        for name, below in command.commands.items():
            if isinstance(below, TyperGroup):
                yield from leaves(below, f"{words} {name}")
            else:
                yield f"{words} {name}", re.match(r"(.*?\.)(\s|$)", below.help)[1]

    rows = re.findall(r"^\| `(swath [\w ]+)` \| (.+) \|$", PAGE, re.MULTILINE)

    assert dict(rows) == dict(leaves(get_command(app), "swath"))


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SceneError("x"), JobExit.INPUT),
        (errors.TransientError("x"), JobExit.TRANSIENT),
        (errors.ShardInterruptedError("x"), JobExit.INTERRUPTED),
        (errors.TrainingInterruptedError("x"), JobExit.INTERRUPTED),
        (errors.NoGpuError("x"), JobExit.NO_GPU),
        (errors.TrainingError("x"), JobExit.FAILED),
        (ZeroDivisionError(), JobExit.BUG),
    ],
)
def test_each_error_has_a_code(error, code):
    assert JobExit.from_error(error) == code
