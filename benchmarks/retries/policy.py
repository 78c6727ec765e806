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
    rate: float
    longest: float
    attempts: int
    jitter: bool

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Retrier:
        """Read an entry of `Retry`."""
        return cls(
            errors=frozenset(entry["ErrorEquals"]),
            interval=float(entry.get("IntervalSeconds", 1)),
            rate=float(entry.get("BackoffRate", 2)),
            longest=float(entry.get("MaxDelaySeconds", float("inf"))),
            attempts=int(entry.get("MaxAttempts", 3)),
            jitter=entry.get("JitterStrategy") == "FULL",
        )

    def delay(self, number: int, chance: random.Random) -> float | None:
        """Return the seconds before retry `number`, from 0; None where there is none left."""
        if number >= self.attempts:
            return None
        bound = self.bound(number)
        return chance.uniform(0, bound) if self.jitter else bound

    def bound(self, number: int) -> float:
        """Return the most seconds that retry `number` waits."""
        # A large power overflows long after the longest delay is reached.
        return min(self.interval * self.rate ** min(number, 64), self.longest)


def retrier_for(state: Mapping[str, Any], error: str) -> Retrier | None:
    """Return the first retrier of a state that names the error; None where none does."""
    for entry in state.get("Retry", ()):
        if error in entry["ErrorEquals"]:
            return Retrier.of(entry)
    return None
