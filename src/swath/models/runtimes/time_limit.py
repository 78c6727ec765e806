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
from swath.settings import ModelSettings, variable_name

if TYPE_CHECKING:
    from swath.models.runtimes.base import Runtime

ForcedExitCallback = Callable[[ModelTimeoutError], CommandExit | JobExit]
"""Function that is called before the process ends itself, and returns the process's exit code."""
_COMPILER_FACTORS = {"compiled": 10, "tensorrt": 10}
"""Factor of the time limit for runtimes that run a compiler at loading or at the first call."""
_STOP_SECONDS = 30.0
"""Seconds that a library has to stop a run after `stop` was called."""
_forced_exit_callbacks: list[ForcedExitCallback] = []


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """Time limit for the weights of one file."""

    path: Path
    """Path of the weights, for messages."""
    seconds: float
    """Maximum duration of loading, and of each call."""

    @classmethod
    def from_env(cls, path: Path, runtime: Runtime | None = None) -> TimeLimit:
        """Return the limit that the environment sets.

        Args:
            path: Path of the weights.
            runtime: Runtime of the weights; a runtime that compiles has ten times as long.

        Raises:
            SettingsError: The limit in the environment is not a number above 0.
        """
        seconds = ModelSettings.from_env().model_seconds
        return cls(path, seconds * _COMPILER_FACTORS.get(runtime or "onnx", 1))

    @contextmanager
    def watch(self, action: str, stop: Callable[[], object] | None = None) -> Iterator[None]:
        """Limit the duration of the `with` block.

        Args:
            action: Past participle for the message "… has not ACTION in … s", such as "answered".
            stop: Function that stops the library, called in another thread. Without it, the
                process ends when the limit is exceeded.

        Raises:
            ModelTimeoutError: The block exceeded the limit and was stopped.
        """
        text = (
            f"{self.path} has not {action} in {self.seconds:g} s: the network may contain an "
            f"infinite loop; export it again, or set {variable_name('model_seconds')} to wait "
            "longer"
        )
        watched = _WatchedCall(time.monotonic() + self.seconds, text, stop)
        _watchdog.add(watched)
        try:
            yield
        except Exception as error:
            if watched.is_late:
                raise ModelTimeoutError(text) from error
            raise
        finally:
            _watchdog.remove(watched)


UNLIMITED = TimeLimit(Path(), math.inf)
"""No limit, for networks that swath itself built."""


@contextmanager
def before_forced_exit(callback: ForcedExitCallback) -> Iterator[None]:
    """Register a function for the `with` block, called if this process has to end itself."""
    _forced_exit_callbacks.append(callback)
    try:
        yield
    finally:
        _forced_exit_callbacks.remove(callback)


@dataclass(slots=True, eq=False)
class _WatchedCall:
    deadline: float
    text: str
    stop: Callable[[], object] | None
    is_late: bool = False


class _Watchdog:
    """Thread that waits for the earliest deadline."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched: set[_WatchedCall] = set()
        self._wakes_at = math.inf
        self._thread: threading.Thread | None = None

    def add(self, watched: _WatchedCall) -> None:
        with self._changed:
            self._watched.add(watched)
            if self._thread is None or not self._thread.is_alive():  # such as after a fork
                self._thread = threading.Thread(target=self._run, name="watchdog", daemon=True)
                self._thread.start()
            elif watched.deadline < self._wakes_at:
                self._changed.notify()

    def remove(self, watched: _WatchedCall) -> None:
        with self._changed:
            self._watched.discard(watched)

    def _run(self) -> NoReturn:
        while True:
            for watched in self._wait_for_late():
                if watched.stop is None:
                    _end_process(watched.text)
                watched.stop()

    def _wait_for_late(self) -> list[_WatchedCall]:
        """Wait until the next deadline, and return the runs that exceeded theirs.

        A run that can be stopped gets `_STOP_SECONDS` to do so. After that, the process ends.
        """
        with self._changed:
            now = time.monotonic()
            late = [watched for watched in self._watched if watched.deadline <= now]
            if not late:
                self._wakes_at = min((call.deadline for call in self._watched), default=math.inf)
                is_unlimited = math.isinf(self._wakes_at)
                self._changed.wait(None if is_unlimited else self._wakes_at - now)
                return []
            for watched in late:
                if watched.is_late:
                    watched.stop = None
                watched.is_late, watched.deadline = True, now + _STOP_SECONDS
            return late


_watchdog = _Watchdog()


def _end_process(text: str) -> NoReturn:
    """End the process, even if other threads are still running."""
    code = int(CommandExit.FAILED)
    for callback in _forced_exit_callbacks:
        with suppress(Exception):  # the process ends in any case
            code = int(callback(ModelTimeoutError(text)))
    with suppress(OSError, ValueError):
        sys.stderr.write(f"error: {text}\n")
        sys.stderr.flush()
    os._exit(code)
