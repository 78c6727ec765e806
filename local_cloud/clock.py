"""Shorten AWS's own waiting times with one clock."""

from __future__ import annotations

import time

from local_cloud.faults.kinds import TimeLapse
from local_cloud.faults.registry import FaultRegistry

# A minute of AWS's waiting takes one second here.
DEFAULT_FACTOR = 60.0


class Clock:
    """Clock that shortens AWS's waiting times: between retries, for a host, in a queue.

    Real work, such as a handler or a job, takes its real time. Time limits of states are shortened
    only while a `TimeLapse` is on.
    """

    def __init__(self, faults: FaultRegistry) -> None:
        self._faults = faults

    def shorten_wait(self, seconds: float) -> float:
        """Return the duration here, in s, of a wait of AWS."""
        lapse = self._faults.current(TimeLapse)
        return seconds / (lapse.factor if lapse else DEFAULT_FACTOR)

    def shorten_timeout(self, seconds: float) -> float:
        """Return the duration here, in s, of a state's time limit."""
        lapse = self._faults.current(TimeLapse)
        return seconds / lapse.factor if lapse else seconds

    def sleep(self, seconds: float) -> None:
        """Sleep for the shortened duration of a wait of AWS, given in s."""
        time.sleep(self.shorten_wait(seconds))
