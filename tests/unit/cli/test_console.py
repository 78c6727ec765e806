"""Tests of the console, on a terminal and elsewhere: lines, warnings, errors, the progress bar."""

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from swath.cli import console

SWATH = Path(sys.executable).with_name("swath")


def screen(written):
    """Return the lines that a terminal shows after the output `written`."""
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


def on_terminal(words, *, output=subprocess.PIPE, **variables):
    """Run a program whose standard error is a terminal.

    Return its standard output and the text that the terminal received.

    Its output goes to the same terminal if `output` is None.
    """
    ours, theirs = pty.openpty()
    environment = os.environ | {"TERM": "xterm", "COLUMNS": "100"} | variables
    with subprocess.Popen(
        words, stdout=output or theirs, stderr=theirs, env=environment, text=True
    ) as process:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:  # the other side has closed the terminal
            pass
        printed = process.stdout.read() if output else ""
    os.close(ours)
    assert process.returncode == 0, shown
    return printed, shown.decode()


@pytest.fixture
def words(make_scene, package, tmp_path):
    """Return the command of a run that warns of its scene."""
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
        "from swath.cli.console import progress_bar\n"
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


PRINTS = (
    "from swath.cli.console import print_error, print_line, print_warning, progress_bar\n"
    "with progress_bar('tiles') as report:\n"
    "    report('a.tif', 0, 2)\n"
    "    print_line('[b]1 of 2[/b] :ship: ' + 100 * 'x')\n"
    "    print_warning('[b]odd[/b] 7\\n8')\n"
    "    report('a.tif', 1, 2)\n"
    "    print_error('bad \\x1b[2J 9')\n"
    "    report('b.tif', 1, 3)\n"
)
LINE = "[b]1 of 2[/b] :ship: " + 100 * "x"
MESSAGES = ["warning: [b]odd[/b] 7\\n8", "error: bad \\x1b[2J 9"]


@pytest.mark.parametrize("output", [subprocess.PIPE, None], ids=["pipe", "terminal"])
def test_lines_warnings_and_errors_go_above_the_bar_as_they_are(output):
    printed, shown = on_terminal([sys.executable, "-c", PRINTS], output=output)

    # The warning has a row of its own. A bar in the same row would be part of the line.
    lines = screen(shown.replace("\r\n", "\n\r"))
    if output:
        assert printed == f"{LINE}\n"
        assert lines == MESSAGES
    else:
        assert lines == [LINE, *MESSAGES]
    plain = re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown)
    assert re.search(r"b\.tif .* 1/3 tiles", plain)


def test_a_long_name_leaves_room_for_the_numbers():
    code = (
        "from swath.cli.console import progress_bar\n"
        "with progress_bar('tiles') as report:\n"
        "    report(40 * 'S2B_', 0, 12345)\n"
        "    report(40 * 'S2B_', 1234, 12345)\n"
    )

    _, shown = on_terminal([sys.executable, "-c", code], COLUMNS="80")

    lines = re.split(r"[\r\n]+", re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", shown))
    (last,) = {line for line in lines if "1234/" in line}
    assert re.fullmatch(r"(S2B_)+\S{,3}… \S+ +1234/12345 tiles .* left *", last)
    assert "left" not in next(line for line in lines if "0/?" in line)


def test_a_pipe_gets_what_a_terminal_shows():
    ran = subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, text=True, check=True)

    assert ran.stdout == f"{LINE}\n"
    assert ran.stderr.splitlines() == MESSAGES


@pytest.mark.parametrize(
    ("seconds", "says"), [(4, "8.0 tiles/s"), (64, "30.0 tiles/min"), (500, "3.8 tiles/min")]
)
def test_a_slow_model_has_a_rate_too(seconds, says):
    """Check a batch of 32 tiles that takes longer than rich's default window of half a minute."""
    now = 0.0
    bar = console._make_progress("tiles", get_time=lambda: now, disable=True)
    task = bar.add_task("", total=320)
    for done in (32, 64):
        now += seconds
        bar.update(task, completed=done)

    (row,) = bar.make_tasks_table(bar.tasks).columns[4].cells
    assert str(row) == says
