"""Simulate runs that compete for an account's Lambda slots.

A function that finds no slot is refused with `Lambda.TooManyRequestsException`: nothing queues, and
the state's retrier decides when it asks again.
https://docs.aws.amazon.com/lambda/latest/dg/lambda-concurrency.html
"""

from __future__ import annotations

import heapq
import itertools
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.retries.policy import Retrier, retrier_for

THROTTLED = "Lambda.TooManyRequestsException"
# What the other states of a run take, in seconds: they compete for the same slots.
OTHER_SECONDS = 5.0
_VARIATION = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Scenes that are dropped at once in an account.

    Attributes:
        scenes: how many.
        shards: of each scene.
        slots: Lambda's concurrency quota of the account.
        seconds: what a shard takes; each takes 20% more or less.
    """

    scenes: int
    shards: int
    slots: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A state of the run that calls functions: how many times, and how many at once."""

    name: str
    retrier: Retrier | None
    mapped: bool
    concurrency: int


@dataclass(slots=True)
class Outcome:
    """Result of a simulated load.

    Attributes:
        failed: runs that failed because a function was refused too often.
        waits: seconds from each function's first request to its start.
        retries: requests after the first, each a state transition that is paid for.
        longest: seconds until the last run ended.
        most_attempts: requests of the function that was refused most often.
    """

    failed: int = 0
    waits: list[float] = field(default_factory=list)
    retries: int = 0
    longest: float = 0.0
    most_attempts: int = 0

    def percentile(self, share: float) -> float:
        """Return the wait, in seconds, that this share of the functions did not exceed."""
        ordered = sorted(self.waits)
        return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def steps(machine: Mapping[str, Any], error: str = THROTTLED) -> list[Step]:
    """Read the states of a run on Lambda from the state machine's definition, in their order."""
    return list(_steps(machine, error))


def _steps(machine: Mapping[str, Any], error: str) -> Iterator[Step]:
    name = machine["StartAt"]
    while name:
        state = machine["States"][name]
        if state["Type"] == "Map":
            (child,) = state["ItemProcessor"]["States"].values()
            yield Step(
                name=name,
                retrier=retrier_for(child, error),
                mapped=True,
                concurrency=state["MaxConcurrency"],
            )
        elif ":lambda:" in state.get("Resource", ""):
            yield Step(name=name, retrier=retrier_for(state, error), mapped=False, concurrency=1)
        name = state.get("Next") or state.get("Default")


def simulate(run: list[Step], load: Load, seed: int) -> Outcome:
    """Simulate a load to its end."""
    return _Account(run, load, seed).run()


@dataclass(slots=True)
class _Run:
    """A run on its way: its step, and the functions of it that wait, run or are still to come."""

    step: int = -1
    to_start: int = 0
    under_way: int = 0
    failed: bool = False


class _Account:
    """The account's slots and the events to come: requests, and ends of functions."""

    def __init__(self, run: list[Step], load: Load, seed: int) -> None:
        self._steps = run
        self._load = load
        self._chance = random.Random(seed)  # noqa: S311 - no secret
        self._free = load.slots
        self._runs = [_Run() for _ in range(load.scenes)]
        self._order = itertools.count()
        # (time, order, run, attempt or -1 for the end of a function, time of the first request)
        self._events: list[tuple[float, int, int, int, float]] = []
        self._outcome = Outcome()

    def run(self) -> Outcome:
        for number in range(self._load.scenes):
            self._advance(number, 0.0)
        while self._events:
            now, _, number, attempt, first = heapq.heappop(self._events)
            if attempt < 0:
                self._free += 1
                self._end(number, now)
            else:
                self._request(number, attempt, first, now)
        self._outcome.failed = sum(run.failed for run in self._runs)
        return self._outcome

    def _request(self, number: int, attempt: int, first: float, now: float) -> None:
        run, outcome = self._runs[number], self._outcome
        if run.failed:
            return
        if self._free:
            self._free -= 1
            outcome.waits.append(now - first)
            self._push(now + self._seconds(self._steps[run.step]), number, -1, first)
            return
        retrier = self._steps[run.step].retrier
        delay = retrier.delay(attempt, self._chance) if retrier else None
        if delay is None:
            run.failed = True
            return
        outcome.retries += 1
        outcome.most_attempts = max(outcome.most_attempts, attempt + 2)
        self._push(now + delay, number, attempt + 1, first)

    def _end(self, number: int, now: float) -> None:
        run = self._runs[number]
        run.under_way -= 1
        self._outcome.longest = max(self._outcome.longest, now)
        if run.failed:
            return
        if run.to_start:
            self._start(number, now)
        elif not run.under_way:
            self._advance(number, now)

    def _advance(self, number: int, now: float) -> None:
        run = self._runs[number]
        run.step += 1
        if run.step == len(self._steps):
            return
        step = self._steps[run.step]
        run.to_start = self._load.shards if step.mapped else 1
        for _ in range(min(run.to_start, step.concurrency)):
            self._start(number, now)

    def _start(self, number: int, now: float) -> None:
        run = self._runs[number]
        run.to_start -= 1
        run.under_way += 1
        self._push(now, number, 0, now)

    def _seconds(self, step: Step) -> float:
        if not step.mapped:
            return OTHER_SECONDS
        return self._load.seconds * self._chance.uniform(1 - _VARIATION, 1 + _VARIATION)

    def _push(self, time: float, number: int, attempt: int, first: float) -> None:
        heapq.heappush(self._events, (time, next(self._order), number, attempt, first))
