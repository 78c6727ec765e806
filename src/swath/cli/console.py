"""Print the output of commands: lines, tables, warnings, errors and a progress bar.

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

from swath.cli.error_lines import printable

if TYPE_CHECKING:
    from rich.table import Table

UpdateBar = Callable[[str, int, int | None], None]
"""Function of the name of the work, the count done, and the total; None if it is unknown."""

_RATE_WINDOW_SECONDS = 600
"""Time in s over which the rate is averaged."""
_MAX_NAME_CHARACTERS = 28
"""Maximum length of a name beside the bar; the numbers then fit into 80 columns."""

_above_bar: dict[bool, Console] = {}
"""Console that prints above the bar while it is shown, by whether it prints to standard error.

A pipe has no such console: its lines are printed as usual.
"""


def print_line(text: str) -> None:
    """Print a text to standard output without markup, colors or line wrapping."""
    _print(text, to_stderr=False)


def print_table(table: Table) -> None:
    """Print a table to standard output, as wide as the terminal."""
    Console(emoji=False).print(table)


def print_warning(text: str) -> None:
    """Print a warning to standard error in one printable line."""
    _print(f"warning: {printable(text)}", to_stderr=True)


def print_stage(text: str) -> None:
    """Print a stage of a long work to standard error, unless a bar shows it."""
    if not _above_bar:
        _print(printable(text), to_stderr=True)


def print_error(text: str) -> None:
    """Print an error to standard error in one printable line."""
    _print(f"error: {printable(text)}", to_stderr=True)


def print_traceback() -> None:
    """Print the traceback of the exception that is being handled."""
    Console(stderr=True, emoji=False).print(traceback.format_exc(), markup=False, soft_wrap=True)


def _print(text: str, *, to_stderr: bool) -> None:
    console = _above_bar.get(to_stderr) or Console(stderr=to_stderr, emoji=False)
    console.print(text, markup=False, highlight=False, soft_wrap=True)


class _RateColumn(ProgressColumn):
    """Column with the rate per second, or per minute if it is less than one per second."""

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
    """Column with the remaining time; empty while the total is unknown."""

    def render(self, task: Task) -> Text:
        return Text() if task.total is None else super().render(task).append(" left")


@contextmanager
def progress_bar(unit: str) -> Iterator[UpdateBar]:
    """Show a bar with the rate and the remaining time while the block runs, then remove it.

    Lines that are printed meanwhile appear above the bar. No bar is shown if standard error is not
    a terminal, or if the terminal cannot move its cursor.

    Args:
        unit: Name of the counted items, in the plural.

    Yields:
        A function that updates the bar.
    """
    console = Console(stderr=True, emoji=False)
    is_shown = sys.stderr.isatty() and not console.is_dumb_terminal
    # Piped output is not redirected.
    is_piped = not sys.stdout.isatty()
    display = _make_progress(
        unit,
        console=console,
        transient=True,
        disable=not is_shown,
        redirect_stdout=not is_piped,
    )
    task = display.add_task("", total=None)
    last: tuple[str, int | None] = ("", None)

    def update(name: str, done: int, total: int | None) -> None:
        nonlocal last, task
        if not done or (name, total) != last:
            display.remove_task(task)
            task, last = display.add_task(name, total=total), (name, total)
        display.update(task, completed=done)

    with display:
        if is_shown:
            _above_bar.update({True: console} if is_piped else {True: console, False: console})
        try:
            yield update
        finally:
            _above_bar.clear()


def _make_progress(unit: str, **options: Any) -> Progress:
    return Progress(
        # A long name is cut, so that there is room for the numbers.
        TextColumn(
            "{task.description}",
            markup=False,
            table_column=Column(max_width=_MAX_NAME_CHARACTERS, no_wrap=True, overflow="ellipsis"),
        ),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        _RateColumn(unit),
        _TimeLeftColumn(),
        # The engine reports 32 tiles and more at once, which can take a slow model minutes.
        speed_estimate_period=_RATE_WINDOW_SECONDS,
        **options,
    )
