"""Print what a command says: lines, tables, warnings and errors, and a progress bar.

Results go to standard output; warnings, errors and the bar go to standard error.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Column
from rich.text import Text

from swath.cli.problems import printable

if TYPE_CHECKING:
    from rich.table import Table

ProgressCallback = Callable[[str, int, int | None], None]
"""Called with the name of the work, the count that is done, and the total; None if unknown."""

_RATE_SECONDS = 600
"""Seconds over which the rate is averaged."""
_MAX_NAME_LETTERS = 28
"""The most letters of a name beside the bar: the numbers fit a terminal of 80 columns."""

_above_bar: dict[bool, Console] = {}
"""While a bar is shown, the console that prints above it: of standard error if True, of output if
False. A pipe gets its lines as ever.
"""


def print_line(text: str) -> None:
    """Print a text on standard output, as it is: no markup, no colors, no line breaks."""
    _print(text, to_stderr=False)


def print_table(table: Table) -> None:
    """Print a table on standard output, as wide as the terminal."""
    Console(emoji=False).print(table)


def print_warning(text: str) -> None:
    """Print a warning in one line that a terminal shows as it is."""
    _print(f"warning: {printable(text)}", to_stderr=True)


def print_error(text: str) -> None:
    """Print an error in one line that a terminal shows as it is."""
    _print(f"error: {printable(text)}", to_stderr=True)


def print_traceback() -> None:
    """Print the traceback of the exception that is being handled."""
    Console(stderr=True, emoji=False).print(traceback.format_exc(), markup=False, soft_wrap=True)


def _print(text: str, *, to_stderr: bool) -> None:
    console = _above_bar.get(to_stderr) or Console(stderr=to_stderr, emoji=False)
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class _RateColumn(ProgressColumn):
    """Show how much is done in a second, or in a minute where that is less than one."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text()
        slow = speed < 1
        return Text(f"{60 * speed if slow else speed:.1f} {self._unit}/{'min' if slow else 's'}")


class _TimeLeftColumn(TimeRemainingColumn):
    """Show the time left; nothing until it is known how much there is to do."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task).append(" left")


@contextmanager
def progress_bar(unit: str) -> Iterator[ProgressCallback]:
    """Show a bar with the rate and the time left while the block runs; nothing of it stays.

    What is printed meanwhile goes above the bar. Nothing is shown where standard error is no
    terminal, or one that cannot move its cursor.

    Args:
        unit: what is counted, in the plural.
    """
    console = Console(stderr=True, emoji=False)
    is_shown = sys.stderr.isatty() and not console.is_dumb_terminal
    # What is piped elsewhere stays where it is.
    is_piped = not sys.stdout.isatty()
    display = _display(
        unit,
        console=console,
        transient=True,
        disable=not is_shown,
        redirect_stdout=not is_piped,
    )
    task = display.add_task("", total=None)
    last: tuple[str, int | None] = ("", None)

    def report(what: str, done: int, total: int | None) -> None:
        nonlocal last, task
        if not done or (what, total) != last:
            display.remove_task(task)
            task, last = display.add_task(what, total=total), (what, total)
        display.update(task, completed=done)

    with display:
        if is_shown:
            _above_bar.update({True: console} if is_piped else {True: console, False: console})
        try:
            yield report
        finally:
            _above_bar.clear()


def _display(unit: str, **options: Any) -> Progress:
    return Progress(
        # The beginning of a long name, so that there is room for the numbers.
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(max_width=_MAX_NAME_LETTERS, no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        _RateColumn(unit),
        _TimeLeftColumn(),
        # The engine reports 32 tiles and more at once, which can take a slow model minutes.
        speed_estimate_period=_RATE_SECONDS,
        **options,
    )
