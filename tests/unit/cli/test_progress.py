"""The progress bar, on a terminal and elsewhere."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from swath.cli import progress

SWATH = Path(sys.executable).with_name("swath")


def screen(written):
    """The lines that a terminal shows in the end."""
    lines, row, column = [""], 0, 0
    for piece in re.findall(r"\x1b\[\??[\d;]*[a-zA-Z]|[\r\n]|[^\x1b\r\n]+", written):
        if piece == "\r":
            column = 0
        elif piece == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif piece == "\x1b[2K":
            lines[row] = ""
        elif up := re.fullmatch(r"\x1b\[(\d*)A", piece):
            row -= int(up[1] or 1)
        elif not piece.startswith("\x1b"):
            lines[row] = (
                lines[row][:column].ljust(column) + piece + lines[row][column + len(piece) :]
            )
            column += len(piece)
    return [line.rstrip() for line in lines if line.strip()]


def on_terminal(words, **variables):
    """Run a program whose standard error is a terminal: what it prints, and what it shows."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"} | variables
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=theirs, env=environment, text=True
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the other side is closed
            pass
        printed = process.stdout.read()
    os.close(ours)
    assert process.returncode == 0, shown
    return printed, shown.decode()


@pytest.fixture
def words(make_scene, package, tmp_path):
    """A run that warns of its scene."""
    scene = make_scene(np.full((1, 60, 100), 81, np.int16), units=[("", 0.5, 0.0)])
    return [SWATH, "run", scene, "--model", str(package), "--out", str(tmp_path / "out")]


def test_a_terminal_shows_tiles_rate_and_time_left_and_nothing_of_them_stays(words):
    printed, shown = on_terminal(words)

    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown)
    assert re.search(r"scene\.tif .* 40/40 tiles .*\d tiles/s \d:\d\d:\d\d left", plain)
    (warning,) = screen(shown.replace("\r\n", "\n\r"))
    assert warning.startswith("warning: ")
    assert "states a unit" in warning
    assert re.fullmatch(r"\d+ detections in 40 tiles .*\n", printed)


@pytest.mark.parametrize("variables", [{"TERM": "dumb"}])
def test_a_terminal_that_cannot_move_its_cursor_shows_no_bar(words, variables):
    _, shown = on_terminal(words, **variables)

    assert "tiles/s" not in shown
    assert "\x1b[2K" not in shown


@pytest.mark.parametrize("variables", [{}, {"FORCE_COLOR": "1"}])
def test_elsewhere_nothing_is_shown(words, variables):
    ran = subprocess.run(
        words, env=os.environ | variables, capture_output=True, text=True, check=True
    )

    (warning,) = ran.stderr.splitlines()
    assert warning.startswith("warning: ")


def test_what_is_printed_meanwhile_goes_above_the_bar():
    code = (
        "import logging, sys\n"
        "from swath.cli.progress import progress_bar\n"
        "with progress_bar('tiles') as tell:\n"
        "    for done in range(4):\n"
        "        tell('a[b].tif', done, 4)\n"
        "        print('line', done, file=sys.stderr)\n"
        "        print('printed', done)\n"
        "    logging.warning('logged')\n"
        "    tell('a[b].tif', 4, 4)\n"
    )

    printed, shown = on_terminal([sys.executable, "-c", code])

    assert "a[b].tif" in shown
    assert screen(shown.replace("\r\n", "\n\r")) == [
        *(f"line {done}" for done in range(4)),
        "WARNING:root:logged",
    ]
    assert printed == "".join(f"printed {done}\n" for done in range(4))


@pytest.mark.parametrize(
    ("seconds", "says"), [(4, "8.0 tiles/s"), (64, "30.0 tiles/min"), (500, "3.8 tiles/min")]
)
def test_a_slow_model_has_a_rate_too(seconds, says):
    """A batch of 32 tiles may take longer than the half minute that rich looks back by default."""
    now = 0.0
    bar = progress._display("tiles", get_time=lambda: now, disable=True)
    task = bar.add_task("", total=320)
    for done in (32, 64):
        now += seconds
        bar.update(task, completed=done)

    (row,) = bar.make_tasks_table(bar.tasks).columns[4].cells
    assert str(row) == says
