"""A progress bar on standard error, with the rate and the time left, where that is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

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
from rich.text import Text

Tell = Callable[[str, int, int], None]
"""Called with what the work is on, how much of it is done, and how much there is."""

_RATE_SECONDS = 600
"""How far back the rate looks."""


class _RateColumn(ProgressColumn):
    """How much is done in a second, or in a minute where that is less than one."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if speed is None:
            return Text()
        slow = speed < 1
        return Text(f"{60 * speed if slow else speed:.1f} {self._unit}/{'min' if slow else 's'}")


@contextmanager
def progress_bar(unit: str) -> Iterator[Tell]:
    """Show a bar for as long as the block runs; nothing of it stays.

    What is printed meanwhile goes above the bar. Nothing is shown where standard error is no
    terminal, or one that cannot move its cursor.

    Args:
        unit: what is counted, in the plural.
    """
    console = Console(stderr=True, emoji=False)
    with _display(
        unit,
        console=console,
        transient=True,
        disable=not sys.stderr.isatty() or console.is_dumb_terminal,
        # What is piped elsewhere stays where it is.
        redirect_stdout=sys.stdout.isatty(),
    ) as display:
        task = display.add_task("", total=None)

        def tell(what: str, done: int, of: int) -> None:
            if not done:
                display.reset(task, total=of, description=what)
            display.update(task, completed=done)

        yield tell


def _display(unit: str, **options: Any) -> Progress:
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(unit),
        _RateColumn(unit),
        TimeRemainingColumn(),
        TextColumn("left"),
        # The engine tells of 32 tiles and more at once, which can take a slow model minutes.
        speed_estimate_period=_RATE_SECONDS,
        **options,
    )
