"""Manage the execution environments of all functions: reuse warm ones, and limit their number."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from local_cloud.functions.environment import ExecutionEnvironment
from local_cloud.functions.specification import FunctionSpec, Response

# More processes of one function than cores would only share the cores.
CONCURRENCY = os.cpu_count() or 1


class FunctionPool:
    """Pool that runs functions, each in up to `concurrency` processes at a time."""

    def __init__(self, logs: Path, *, concurrency: int = CONCURRENCY) -> None:
        self._logs = logs
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._turns: dict[str, threading.BoundedSemaphore] = {}
        self._idle: dict[tuple[object, ...], list[ExecutionEnvironment]] = {}
        self._all: set[ExecutionEnvironment] = set()
        self._closed = False

    def invoke(self, function: FunctionSpec, payload: bytes) -> Response:
        """Run one event, and return its response."""
        with self._turn(function):
            environment = self._take(function)
            try:
                return environment.invoke(payload)
            finally:
                self._give_back(environment)

    def close(self) -> None:
        """End every process."""
        with self._lock:
            self._closed = True
            environments, self._all = self._all, set()
        for environment in environments:
            environment.close()

    def _turn(self, function: FunctionSpec) -> threading.BoundedSemaphore:
        with self._lock:
            return self._turns.setdefault(
                function.arn, threading.BoundedSemaphore(self._concurrency)
            )

    def _take(self, function: FunctionSpec) -> ExecutionEnvironment:
        with self._lock:
            idle = self._idle.setdefault(function.key, [])
            while idle:
                if (environment := idle.pop()).alive:
                    return environment
            if self._closed:
                raise RuntimeError(f"{function.name} was invoked after the local cloud was closed")
            outdated = self._outdated(function)
            environment = ExecutionEnvironment(
                function, log=self._logs / f"lambda-{function.name}.log"
            )
            self._all.add(environment)
        for other in outdated:
            other.close()
        return environment

    def _outdated(self, function: FunctionSpec) -> list[ExecutionEnvironment]:
        """Remove and return the idle processes of a function's previous versions."""
        keys = [key for key in self._idle if key[0] == function.arn and key != function.key]
        outdated = [environment for key in keys for environment in self._idle[key]]
        for key in keys:
            self._idle[key] = []
        self._all.difference_update(outdated)
        return outdated

    def _give_back(self, environment: ExecutionEnvironment) -> None:
        with self._lock:
            if environment.alive:
                self._idle[environment.function.key].append(environment)
                return
            known = environment in self._all
            self._all.discard(environment)
        if known:
            environment.close()
