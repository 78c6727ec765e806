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

_MAX_RETRY_AFTER_SECONDS = 60
"""Maximum waiting time in s to suggest to a client; clients rarely wait longer."""
_SMOOTHING = 0.2
"""Weight of the latest job in the running average of job times."""


class ByteBudget:
    """Budget of bytes, granted in the order of the requests."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = threading.Condition()
        self._turns: deque[object] = deque()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Wait for the caller's turn, then hold the bytes (at most the budget) in the block."""
        granted = min(size, self.size)
        self._acquire(granted)
        try:
            yield
        finally:
            self.release(granted)

    def try_claim(self, size: int) -> bool:
        """Claim bytes if they are free now, and return whether it succeeded; see `release`."""
        with self._changed:
            if size > self._free:
                return False
            self._free -= size
            return True

    def release(self, size: int) -> None:
        """Return bytes to the budget."""
        with self._changed:
            self._free += size
            self._changed.notify_all()

    def _acquire(self, size: int) -> None:
        turn = object()
        with self._changed:
            self._turns.append(turn)
            self._changed.wait_for(lambda: self._turns[0] is turn and self._free >= size)
            self._turns.popleft()
            self._free -= size
            self._changed.notify_all()


class BoundedExecutor:
    """Pool of threads for jobs, with a bounded queue."""

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self.name = name
        self._threads = threads
        self._max_pending = threads + waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._pending = 0
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
            if self._pending >= self._max_pending:
                raise BusyError(
                    f"{self._pending} {self.name} are in progress or queued; "
                    "send this request again later, or add instances to the endpoint",
                    retry_after=self._expected_wait(),
                )
            self._pending += 1
        try:
            return self._pool.submit(self._run_timed, functools.partial(job, *args, **kwargs))
        except BaseException:
            self._finish()
            raise

    def close(self) -> None:
        """Complete all jobs, then end the threads."""
        self._pool.shutdown()

    def _run_timed(self, job: Callable[[], T]) -> T:
        started = time.monotonic()
        try:
            return job()
        finally:
            self._seconds += _SMOOTHING * (time.monotonic() - started - self._seconds)
            self._finish()

    def _finish(self) -> None:
        with self._lock:
            self._pending -= 1

    def _expected_wait(self) -> int:
        """Return the expected time in s until half of the current jobs are done."""
        expected = self._seconds * self._pending / self._threads / 2
        return max(1, min(_MAX_RETRY_AFTER_SECONDS, math.ceil(expected)))
