"""Limit concurrent work: requests beyond a limit wait in order, or are refused."""

from __future__ import annotations

import functools
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

from swath.sagemaker.server.errors import BusyError

P = ParamSpec("P")
T = TypeVar("T")

_LONGEST_WAIT = 60
"""Maximum waiting time in s to suggest to a client; clients rarely wait longer."""
_FORGETS = 0.2
"""Weight of the latest job in the running average of job times."""


class Budget:
    """Budget of bytes, granted in the order of the requests."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def holding(self, wanted: int) -> Iterator[None]:
        """Wait for the caller's turn, then hold the bytes (at most the budget) in the block."""
        share = min(wanted, self.size)
        self._acquire(share)
        try:
            yield
        finally:
            self.release(share)

    def claim(self, wanted: int) -> bool:
        """Claim bytes if they are free now, and return whether it succeeded; see `release`."""
        with self._changed:
            if wanted > self._free:
                return False
            self._free -= wanted
            return True

    def release(self, share: int) -> None:
        """Return bytes to the budget."""
        with self._changed:
            self._free += share
            self._changed.notify_all()

    def _acquire(self, share: int) -> None:
        mine = object()
        with self._changed:
            self._line.append(mine)
            self._changed.wait_for(lambda: self._line[0] is mine and self._free >= share)
            self._line.popleft()
            self._free -= share
            self._changed.notify_all()


class Line:
    """Pool of threads for jobs, with a bounded queue."""

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self.name = name
        self._threads = threads
        self._most = threads + waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._held = 0
        self._seconds = 1.0
        """Running average of a job's duration in s."""

    def submit(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue a job, and return its future result.

        Args:
            job: Function to call.
            *args: Positional arguments of the function.
            **kwargs: Keyword arguments of the function.

        Raises:
            BusyError: The queue is full.
        """
        with self._lock:
            if self._held >= self._most:
                raise BusyError(
                    f"{self._held} {self.name} are being worked on or wait; "
                    "send this request again later, or add instances to the endpoint",
                    retry_after=self._wait(),
                )
            self._held += 1
        try:
            return self._pool.submit(self._timed, functools.partial(job, *args, **kwargs))
        except BaseException:
            self._leave()
            raise

    def close(self) -> None:
        """Complete all jobs, then end the threads."""
        self._pool.shutdown()

    def _timed(self, job: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return job()
        finally:
            self._seconds += _FORGETS * (time.monotonic() - started - self._seconds)
            self._leave()

    def _leave(self) -> None:
        with self._lock:
            self._held -= 1

    def _wait(self) -> int:
        """Return the expected time in s until half of the current jobs are done."""
        expected = self._seconds * self._held / self._threads / 2
        return max(1, min(_LONGEST_WAIT, math.ceil(expected)))
