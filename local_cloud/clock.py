"""The one clock by which AWS's own waits are shortened."""

from __future__ import annotations

import time

from local_cloud.faults.active import Faults
from local_cloud.faults.kinds import TimeLapse

# A minute that AWS waits is a second here.
FACTOR = 60.0


class Clock:
    """Shortens the waits of AWS: between retries, for a host, in a queue.

    What really runs, such as a handler or a job, takes the time that it takes. Time limits of
    states are shortened only while a `TimeLapse` is on.
    """

    def __init__(self, faults: Faults) -> None:
        self._faults = faults

    def wait(self, seconds: float) -> float:
        """Return the seconds here for seconds that AWS waits."""
        lapse = self._faults.on(TimeLapse)
        return seconds / (lapse.factor if lapse else FACTOR)

    def limit(self, seconds: float) -> float:
        """Return the seconds here for the time limit of a state."""
        lapse = self._faults.on(TimeLapse)
        return seconds / lapse.factor if lapse else seconds

    def sleep(self, seconds: float) -> None:
        """Wait as AWS does for so many seconds, shortened."""
        time.sleep(self.wait(seconds))
