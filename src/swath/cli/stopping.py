"""Trainings that leave a checkpoint when they are asked to stop."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Within, Ctrl-C or SIGTERM asks the training to leave a checkpoint; a second one ends it."""
    asked = threading.Event()

    def stop(number: int, frame: Any) -> None:
        del frame
        asked.set()
        signal.signal(number, before[signal.Signals(number)])

    before = {name: signal.getsignal(name) for name in (signal.SIGINT, signal.SIGTERM)}
    for name in before:
        signal.signal(name, stop)
    try:
        yield asked.is_set
    finally:
        for name, handler in before.items():
            signal.signal(name, handler)
