"""Limit the time that a model takes to load and to answer.

A network may contain an infinite loop. ONNX Runtime can stop a run. torch and OpenVINO cannot, and
a thread that never returns from them keeps a process from exiting normally. So the process ends
itself, after writing the reason to standard error.
"""

from __future__ import annotations

import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from swath.errors import ModelTimeoutError
from swath.errors.exit_codes import CommandExit, JobExit
from swath.settings import ModelSettings, variable

if TYPE_CHECKING:
    from swath.models.runtimes.base import Runtime

LastWords = Callable[[ModelTimeoutError], CommandExit | JobExit]
"""Function that is called before the process ends itself, and returns the process's exit code."""
_COMPILES = {"compiled": 10, "tensorrt": 10}
"""Factor of the time limit for runtimes that run a compiler at loading or at the first call."""
_STOP_SECONDS = 30.0
"""Seconds that a library has to stop a run after `stop` was called."""
_last_words: list[LastWords] = []


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Time limit for the weights of one file."""

    path: Path
    """Path of the weights, for messages."""
    seconds: float
    """Maximum duration of loading, and of each call."""

    @classmethod
    def of(cls, path: Path, way: Runtime | None = None) -> TimeLimit:
        """Return the limit that the environment sets.

        Args:
            path: Path of the weights.
            way: Runtime of the weights; a runtime that compiles has ten times as long.

        Raises:
            SettingsError: The limit in the environment is not a number above 0.
        """
        seconds = ModelSettings.from_env().model_seconds
        return cls(path, seconds * _COMPILES.get(way or "onnx", 1))

    @contextmanager
    def watch(self, doing: str, stop: Callable[[], object] | None = None) -> Iterator[None]:
        """Limit the duration of the `with` block.

        Args:
            doing: Past participle for the message "… has not DOING in … s", such as "answered".
            stop: Function that stops the library, called in another thread. Without it, the
                process ends when the limit is exceeded.

        Raises:
            ModelTimeoutError: The block exceeded the limit and was stopped.
        """
        text = (
            f"{self.path} has not {doing} in {self.seconds:g} s: it may hold a loop that never "
            f"ends; export it anew, or set {variable('model_seconds')} to wait longer"
        )
        watched = _Watched(time.monotonic() + self.seconds, text, stop)
        _watchdog.add(watched)
        try:
            yield
        except Exception as error:
            if watched.late:
                raise ModelTimeoutError(text) from error
            raise
        finally:
            _watchdog.remove(watched)


UNLIMITED = TimeLimit(Path(), math.inf)
"""No limit, for networks that swath itself built."""


@contextmanager
def last_words(say: LastWords) -> Iterator[None]:
    """Register a function for the `with` block, called if this process has to end itself."""
    _last_words.append(say)
    try:
        yield
    finally:
        _last_words.remove(say)


@dataclass(slots=True, eq=False)
class _Watched:
    deadline: float
    text: str
    stop: Callable[[], object] | None
    late: bool = False


class _Watchdog:
    """Thread that waits for the earliest deadline."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: set[_Watched] = set()
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def add(self, watched: _Watched) -> None:
        with self._changed:
            self._watched.add(watched)
            if self._thread is None or not self._thread.is_alive():  # such as after a fork
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            elif watched.deadline < self._wakes_at:
                self._changed.notify()

    def remove(self, watched: _Watched) -> None:
        with self._changed:
            self._watched.discard(watched)

    def _run(self) -> NoReturn:
        while True:
            for watched in self._late():
                if watched.stop is None:
                    _end(watched.text)
                watched.stop()

    def _late(self) -> list[_Watched]:
        """Wait until the next deadline, and return the runs that exceeded theirs.

        A run that can be stopped gets `_STOP_SECONDS` to do so. After that, the process ends.
        """
        with self._changed:
            now = time.monotonic()
            late = [watched for watched in self._watched if watched.deadline <= now]
            if not late:
                self._wakes_at = min((one.deadline for one in self._watched), default=math.inf)
                ever = math.isinf(self._wakes_at)
                self._changed.wait(None if ever else self._wakes_at - now)
                return []
            for watched in late:
                if watched.late:
                    watched.stop = None
                watched.late, watched.deadline = True, now + _STOP_SECONDS
            return late


_watchdog = _Watchdog()


def _end(text: str) -> NoReturn:
    """End the process, even if other threads are still running."""
    code = int(CommandExit.FAILED)
    for say in _last_words:
        with suppress(Exception):  # the process ends in any case
            code = int(say(ModelTimeoutError(text)))
    with suppress(OSError, ValueError):
        sys.stderr.write(f"error: {text}\n")
        sys.stderr.flush()
    os._exit(code)
