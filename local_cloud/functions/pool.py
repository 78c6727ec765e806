"""Manage the execution environments of all functions: reuse warm ones, and limit their number."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from local_cloud.functions.environment import ExecutionEnvironment
from local_cloud.functions.specification import FunctionSpec, InvocationResult

# More processes of one function than cores would only share the cores.
DEFAULT_CONCURRENCY = os.cpu_count() or 1


class FunctionPool:
    """Pool that runs functions, each in up to `concurrency` processes at a time."""

    def __init__(self, logs: Path, *, concurrency: int = DEFAULT_CONCURRENCY) -> None:
        self._logs = logs
        self._concurrency = concurrency
        self._lock = threading.Lock()
        self._semaphores: dict[str, threading.BoundedSemaphore] = {}
        self._idle: dict[tuple[object, ...], list[ExecutionEnvironment]] = {}
        self._environments: set[ExecutionEnvironment] = set()
        self._closed = False

    def invoke(self, function: FunctionSpec, payload: bytes) -> InvocationResult:
        """Run one event, and return its response."""
        with self._semaphore(function):
            environment = self._acquire(function)
            try:
                return environment.invoke(payload)
            finally:
                self._release(environment)

    def close(self) -> None:
        """End every process."""
        with self._lock:
            self._closed = True
            environments, self._environments = self._environments, set()
        for environment in environments:
            environment.close()

    def _semaphore(self, function: FunctionSpec) -> threading.BoundedSemaphore:
        with self._lock:
            return self._semaphores.setdefault(
                function.arn, threading.BoundedSemaphore(self._concurrency)
            )

    def _acquire(self, function: FunctionSpec) -> ExecutionEnvironment:
        with self._lock:
            idle = self._idle.setdefault(function.key, [])
            while idle:
                if (environment := idle.pop()).is_alive:
                    return environment
            if self._closed:
                raise RuntimeError(f"{function.name} was invoked after the local cloud was closed")
            outdated = self._pop_outdated(function)
            environment = ExecutionEnvironment(
                function, log=self._logs / f"lambda-{function.name}.log"
            )
            self._environments.add(environment)
        for other in outdated:
            other.close()
        return environment

    def _pop_outdated(self, function: FunctionSpec) -> list[ExecutionEnvironment]:
        """Remove and return the idle processes of a function's previous versions."""
        keys = [key for key in self._idle if key[0] == function.arn and key != function.key]
        outdated = [environment for key in keys for environment in self._idle[key]]
        for key in keys:
            self._idle[key] = []
        self._environments.difference_update(outdated)
        return outdated

    def _release(self, environment: ExecutionEnvironment) -> None:
        with self._lock:
            if environment.is_alive:
                self._idle[environment.function.key].append(environment)
                return
            is_known = environment in self._environments
            self._environments.discard(environment)
        if is_known:
            environment.close()
