"""Read retry policies from a state machine's definition, as Step Functions applies them.

https://docs.aws.amazon.com/step-functions/latest/dg/concepts-error-handling.html
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrier:
    """One entry of a state's `Retry`; defaults are the specification's."""

    errors: frozenset[str]
    interval: float
    backoff_rate: float
    max_delay: float
    max_attempts: int
    jitter: bool

    @classmethod
    def from_entry(cls, entry: Mapping[str, Any]) -> Retrier:
        """Read an entry of `Retry`."""
        return cls(
            errors=frozenset(entry["ErrorEquals"]),
            interval=float(entry.get("IntervalSeconds", 1)),
            backoff_rate=float(entry.get("BackoffRate", 2)),
            max_delay=float(entry.get("MaxDelaySeconds", float("inf"))),
            max_attempts=int(entry.get("MaxAttempts", 3)),
            jitter=entry.get("JitterStrategy") == "FULL",
        )

    def delay(self, retry_number: int, rng: random.Random) -> float | None:
        """Return the delay in s before retry `retry_number`, from 0; None if none is left."""
        if retry_number >= self.max_attempts:
            return None
        upper_bound = self.upper_bound(retry_number)
        return rng.uniform(0, upper_bound) if self.jitter else upper_bound

    def upper_bound(self, retry_number: int) -> float:
        """Return the maximum delay in s before retry `retry_number`."""
        # A large power overflows long after the longest delay is reached.
        return min(self.interval * self.backoff_rate ** min(retry_number, 64), self.max_delay)


def select_retrier(state: Mapping[str, Any], error: str) -> Retrier | None:
    """Return the first retrier of a state that names the error; None if none does."""
    for entry in state.get("Retry", ()):
        if error in entry["ErrorEquals"]:
            return Retrier.from_entry(entry)
    return None
