"""Simulate runs that compete for an account's Lambda slots.

Without a free slot, a request is refused with `Lambda.TooManyRequestsException`. There is no queue:
the state's retrier decides when the next request is sent.
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

from benchmarks.retries.policy import Retrier, select_retrier

THROTTLING_ERROR = "Lambda.TooManyRequestsException"
# Time in s of each other state of a run, which competes for the same slots.
OTHER_STEP_SECONDS = 5.0
_DURATION_VARIATION = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """Scenes that are dropped at once in an account.

    Attributes:
        scenes: how many.
        shards: of each scene.
        lambda_slots: Lambda's concurrency quota of the account.
        shard_seconds: what a shard takes; each takes 20% more or less.
    """

    scenes: int
    shards: int
    lambda_slots: int
    shard_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A state of the run that calls functions: how many times, and how many at once."""

    name: str
    retrier: Retrier | None
    is_map: bool
    max_concurrency: int


@dataclass(slots=True)
class Outcome:
    """Result of a simulated load.

    Attributes:
        failed: runs that failed because a function was refused too often.
        waits: seconds from each function's first request to its start.
        retries: requests after the first, each a state transition that is paid for.
        total_seconds: seconds until the last run ended.
        max_requests: requests of the function that was refused most often.
    """

    failed: int = 0
    waits: list[float] = field(default_factory=list)
    retries: int = 0
    total_seconds: float = 0.0
    max_requests: int = 0

    def wait_percentile(self, fraction: float) -> float:
        """Return the wait, in seconds, that this share of the functions did not exceed."""
        sorted_waits = sorted(self.waits)
        return sorted_waits[max(0, math.ceil(fraction * len(sorted_waits)) - 1)]


def read_steps(machine: Mapping[str, Any], error: str = THROTTLING_ERROR) -> list[Step]:
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
                retrier=select_retrier(child, error),
                is_map=True,
                max_concurrency=state["MaxConcurrency"],
            )
        elif ":lambda:" in state.get("Resource", ""):
            yield Step(
                name=name, retrier=select_retrier(state, error), is_map=False, max_concurrency=1
            )
        name = state.get("Next") or state.get("Default")


def simulate(run: list[Step], load: Load, seed: int) -> Outcome:
    """Simulate a load to its end."""
    return _Account(run, load, seed).run()


@dataclass(slots=True)
class _Run:
    """State of a run: its step, and the step's pending and running functions."""

    step: int = -1
    pending: int = 0
    running: int = 0
    failed: bool = False


class _Account:
    """Account with its free slots and its future events: requests, and ends of functions."""

    def __init__(self, run: list[Step], load: Load, seed: int) -> None:
        self._steps = run
        self._load = load
        self._rng = random.Random(seed)  # noqa: S311 - no secret
        self._free_slots = load.lambda_slots
        self._runs = [_Run() for _ in range(load.scenes)]
        self._sequence = itertools.count()
        # (time, order, run, attempt or -1 for the end of a function, time of the first request)
        self._events: list[tuple[float, int, int, int, float]] = []
        self._outcome = Outcome()

    def run(self) -> Outcome:
        for run_index in range(self._load.scenes):
            self._advance(run_index, 0.0)
        while self._events:
            now, _, run_index, attempt, first_request = heapq.heappop(self._events)
            if attempt < 0:
                self._free_slots += 1
                self._end(run_index, now)
            else:
                self._request(run_index, attempt, first_request, now)
        self._outcome.failed = sum(run.failed for run in self._runs)
        return self._outcome

    def _request(self, run_index: int, attempt: int, first_request: float, now: float) -> None:
        run, outcome = self._runs[run_index], self._outcome
        if run.failed:
            return
        if self._free_slots:
            self._free_slots -= 1
            outcome.waits.append(now - first_request)
            self._schedule(
                now + self._duration(self._steps[run.step]), run_index, -1, first_request
            )
            return
        retrier = self._steps[run.step].retrier
        delay = retrier.delay(attempt, self._rng) if retrier else None
        if delay is None:
            run.failed = True
            return
        outcome.retries += 1
        outcome.max_requests = max(outcome.max_requests, attempt + 2)
        self._schedule(now + delay, run_index, attempt + 1, first_request)

    def _end(self, run_index: int, now: float) -> None:
        run = self._runs[run_index]
        run.running -= 1
        self._outcome.total_seconds = max(self._outcome.total_seconds, now)
        if run.failed:
            return
        if run.pending:
            self._start(run_index, now)
        elif not run.running:
            self._advance(run_index, now)

    def _advance(self, run_index: int, now: float) -> None:
        run = self._runs[run_index]
        run.step += 1
        if run.step == len(self._steps):
            return
        step = self._steps[run.step]
        run.pending = self._load.shards if step.is_map else 1
        for _ in range(min(run.pending, step.max_concurrency)):
            self._start(run_index, now)

    def _start(self, run_index: int, now: float) -> None:
        run = self._runs[run_index]
        run.pending -= 1
        run.running += 1
        self._schedule(now, run_index, 0, now)

    def _duration(self, step: Step) -> float:
        if not step.is_map:
            return OTHER_STEP_SECONDS
        return self._load.shard_seconds * self._rng.uniform(
            1 - _DURATION_VARIATION, 1 + _DURATION_VARIATION
        )

    def _schedule(self, time: float, run_index: int, attempt: int, first_request: float) -> None:
        heapq.heappush(
            self._events, (time, next(self._sequence), run_index, attempt, first_request)
        )
