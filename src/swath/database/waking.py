"""Retries while a paused database wakes."""

from __future__ import annotations

from collections.abc import Callable

from tenacity import (
    Retrying,
    retry_if_exception,
    stop_before_delay,
    wait_exponential,
    wait_random_exponential,
)

# Half of a wait is drawn at random, so that callers that were refused together come back apart.
# A whole wait grows from half a second to five.
_HALF_WAIT_SECONDS = 0.25
_MAX_HALF_WAIT_SECONDS = 2.5


def retry_while(is_waking: Callable[[BaseException], bool], *, timeout: float) -> Retrying:
    """Return a policy that calls a function again while its error says that a database wakes.

    The last error is raised as it is.

    Args:
        is_waking: Function that tells whether another attempt can help after an error.
        timeout: Seconds from the first attempt to the start of the last one.
    """
    growth = {"multiplier": _HALF_WAIT_SECONDS, "max": _MAX_HALF_WAIT_SECONDS}
    return Retrying(
        retry=retry_if_exception(is_waking),
        wait=wait_exponential(**growth) + wait_random_exponential(**growth),
        stop=stop_before_delay(timeout),
        reraise=True,
    )
