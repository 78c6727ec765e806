"""Retry a function while a paused database wakes."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_before_delay,
    wait_exponential,
    wait_random_exponential,
)

# Half of each wait is random, so that callers that were refused together retry at different times.
# A whole wait grows from 0.5 s to 5 s.
_HALF_WAIT_SECONDS = 0.25
_MAX_HALF_WAIT_SECONDS = 2.5


def retry_while(is_waking: Callable[[BaseException], bool], *, timeout: float) -> Retrying:
    """Return a retry policy for functions that fail while a database wakes.

    The last error is raised unchanged.

    Args:
        is_waking: Function that returns whether a retry can help after an error.
        timeout: Maximum time in s from the first attempt to the start of the last one.
    """
    growth = {"multiplier": _HALF_WAIT_SECONDS, "max": _MAX_HALF_WAIT_SECONDS}
    return Retrying(
        retry=retry_if_exception(is_waking),
        wait=wait_exponential(**growth) + wait_random_exponential(**growth),
        stop=stop_before_delay(timeout),
        reraise=True,
    )
