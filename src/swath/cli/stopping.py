"""Trainings that leave a checkpoint when they are asked to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import typer

from swath.cli.console import print_error
from swath.errors import TrainingInterruptedError
from swath.errors.exit_codes import CommandExit


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM, inside the block, into a request to stop with a checkpoint.

    A second signal ends the process at once.

    Raises:
        Exit: the training stopped, with the code of the signal.
    """
    asked = threading.Event()
    received: list[int] = []

    def stop(number: int, frame: Any) -> None:
        del frame
        asked.set()
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    for name in before:
        signal.signal(name, stop)
    try:
        yield asked.is_set
    except TrainingInterruptedError as error:
        print_error(str(error))
        code = CommandExit.TERMINATED if signal.SIGTERM in received else CommandExit.INTERRUPTED
        raise typer.Exit(code) from None
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
