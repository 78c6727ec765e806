"""How much is taken on at once: what is beyond it waits in order, or is told to come again."""

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
"""s; whoever is told to come again later than that has given up."""
_FORGETS = 0.2
"""How much the latest job counts in the time that jobs take."""


class Budget:
    """A number of bytes, given out in the order in which they are asked for."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free = size
        self._changed = threading.Condition()
        self._line: deque[object] = deque()

    @contextmanager
    def holding(self, wanted: int) -> Iterator[None]:
        """Hold so many bytes, or all there are, as soon as it is this caller's turn."""
        share = min(wanted, self.size)
        self._acquire(share)
        try:
            yield
        finally:
            self.release(share)

    def claim(self, wanted: int) -> bool:
        """Take so many bytes, if they are free now; to be given back by `release`."""
        with self._changed:
            if wanted > self._free:
                return False
            self._free -= wanted
            return True

    def release(self, share: int) -> None:
        """Give bytes back."""
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
    """Jobs for some threads, and a bounded number of jobs that wait for one."""

    def __init__(self, name: str, *, threads: int, waiting: int) -> None:
        self.name = name
        self._threads = threads
        self._most = threads + waiting
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._lock = threading.Lock()
        self._held = 0
        self._seconds = 1.0
        """What a job takes, roughly."""

    def submit(self, job: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have a job done.

        Raises:
            BusyError: there are too many already.
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
        """End the threads, once all jobs are done."""
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
        """In how many seconds half of what is here now is done."""
        expected = self._seconds * self._held / self._threads / 2
        return max(1, min(_LONGEST_WAIT, math.ceil(expected)))
