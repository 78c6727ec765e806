"""Trying again while a paused database wakes."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def persist(
    attempt: Callable[[float], T], *, mends: Callable[[Exception], bool], patience: float
) -> T:
    """Call `attempt` until it succeeds, it fails in a way that will not mend, or time is up.

    Args:
        attempt: is given the seconds that are left.
        mends: whether trying again can help after this exception.
        patience: seconds from the first attempt to the start of the last one.

    Raises:
        Exception: what the last attempt raised.
    """
    deadline = time.monotonic() + patience
    for pause in _pauses():
        try:
            return attempt(deadline - time.monotonic())
        except Exception as error:
            if not mends(error) or time.monotonic() + pause > deadline:
                raise
        time.sleep(pause)
    raise AssertionError  # pragma: no cover - the pauses never end


def _pauses() -> Iterator[float]:
    """Seconds between attempts: growing, at most 5, and jittered so that callers spread out."""
    for exponent in itertools.count():
        longest = min(5.0, 0.5 * 2 ** min(exponent, 4))
        yield random.uniform(longest / 2, longest)  # noqa: S311 - no secret
