"""A limit on the time that a model takes to load and to answer.

A network may hold a loop that never ends. ONNX Runtime can be told to give up. torch and OpenVINO
cannot, and a thread that never comes back from them keeps a process from ending in the usual way:
so the process ends itself, with a line that says why.
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
"""Does what is left to do in a process that a model holds, and gives its exit code."""
_COMPILES = {"compiled": 10, "tensorrt": 10}
"""How many times longer a way may take that has a compiler run when it loads or first answers."""
_STOP_SECONDS = 30.0
"""How long a library may take to give up once it was told to."""
_last_words: list[LastWords] = []


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """How long the weights of one file may take."""

    path: Path
    seconds: float

    @classmethod
    def of(cls, path: Path, way: Runtime | None = None) -> TimeLimit:
        """Return the limit that the environment sets.

        Args:
            path: of the weights.
            way: how they are run.

        Raises:
            SettingsError: the environment's is no number above 0.
        """
        seconds = ModelSettings.from_env().model_seconds
        return cls(path, seconds * _COMPILES.get(way or "onnx", 1))

    @contextmanager
    def watch(self, doing: str, stop: Callable[[], object] | None = None) -> Iterator[None]:
        """Within, take no longer.

        Args:
            doing: what takes its time, as in "has not PUT IN HERE".
            stop: has the library give up, in another thread; without it the process ends.

        Raises:
            ModelTimeoutError: it took longer, and was stopped.
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
"""Of networks that swath itself made."""


@contextmanager
def last_words(say: LastWords) -> Iterator[None]:
    """Within, have `say` called, should this process have to end itself."""
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
    """One thread that waits for the first deadline."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: set[_Watched] = set()
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def add(self, watched: _Watched) -> None:
        with self._changed:
            self._watched.add(watched)
            if self._thread is None or not self._thread.is_alive():  # as after a fork
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
        """Wait for what takes too long. What can be stopped is given a while to do so."""
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
    """End the process, whatever its other threads do."""
    code = int(CommandExit.FAILED)
    for say in _last_words:
        with suppress(Exception):  # the process ends in any case
            code = int(say(ModelTimeoutError(text)))
    with suppress(OSError, ValueError):
        sys.stderr.write(f"error: {text}\n")
        sys.stderr.flush()
    os._exit(code)
