"""Turn SIGINT and SIGTERM into requests to stop a training, which then writes a checkpoint."""

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
def stop_on_signals() -> Iterator[Callable[[], bool]]:
    """Turn SIGINT (Ctrl-C) and SIGTERM within the block into a request to stop.

    A second signal ends the process at once.

    Yields:
        A function that returns whether a stop is requested.

    Raises:
        Exit: The training stopped. The exit code is that of the signal.
    """
    stop_requested = threading.Event()
    received: list[int] = []

    def stop(number: int, frame: Any) -> None:
        del frame
        stop_requested.set()
        received.append(number)
        signal.signal(number, before[signal.Signals(number)])

    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    for name in before:
        signal.signal(name, stop)
    try:
        yield stop_requested.is_set
    except TrainingInterruptedError as error:
        print_error(str(error))
        code = CommandExit.TERMINATED if signal.SIGTERM in received else CommandExit.INTERRUPTED
        raise typer.Exit(code) from None
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
